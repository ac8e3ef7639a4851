"""Over-the-air sums at a BS with several antennas, by uniform forcing."""

from dataclasses import dataclass
from typing import List, Mapping

import numpy as np

from fl_simu.kernel.limits import require_count
from fl_simu.radio.media.analog import Analog, gains


@dataclass(frozen=True)
class UniformForcing(Analog):
    r"""As `over_the_air`, but all UEs send, with powers that make them arrive equal at a BS of M antennas.

    Let :math:`s_i` be the signal of UE i, scaled by :math:`\phi_i` and of variance 1 as on `over_the_air`,
    :math:`h_i` its channel to the antennas, b_i its transmit factor, and m a receive beamformer:

    .. math:: b_i = \sqrt{\eta} \frac{\phi_i}{m^H h_i}, \quad
        \eta = P_0 \min_i \frac{|m^H h_i|^2}{\phi_i^2}, \quad
        \frac{m^H y}{\sqrt{\eta}} = \sum_i \phi_i s_i + \frac{m^H z}{\sqrt{\eta}}

    The error of a symbol of the sum has the mean square

    .. math:: MSE = \frac{\sigma^2 \lVert m \rVert^2}{\eta}

    half of it on each of the two numbers. The error of the mean is :math:`\Phi^2` times less, and in the model's
    units :math:`\nu^2` times that. P0 is the maximum power per number, which the weakest UE uses in every round.
    The entries of h_i are Rayleigh with E|h|^2 = 1, drawn for each UE, round and antenna.

    Finding the best m is NP-hard. The BS takes the best of K + 2 candidates: the vectors matched to each of the K
    UEs; the leading eigenvector of :math:`\sum_i h_i h_i^H / \phi_i^2`, which has the largest total gain; and
    :math:`\sum_i \phi_i h_i / \lVert h_i \rVert^2`, with which all signals arrive equal if channels are
    orthogonal, as they become with many antennas. This is the best m for one UE, and for one antenna. Scaling,
    side information, times, columns and requirements are those of `over_the_air`.

    Args:
        antennas: M, 1 to 1024.

    Reference: K. Yang, Jiang, Shi, Ding 2020, "Federated Learning via Over-the-Air Computation", of which this is
    the sum for given UEs; the selection of the UEs and the search for m are not included.
    """

    antennas: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("antennas", self.antennas, most=1024)

    def beamformer(self, channels: Mapping[int, np.ndarray], factors: Mapping[int, float]) -> np.ndarray:
        """m, of length 1.

        Args:
            channels: h of each UE, complex, shape (M,).
            factors: phi of each UE, above 0 and at most 1.
        """
        scaled = np.stack([channels[ue] / factors[ue] for ue in factors])
        lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
        together = (scaled / lengths**2).sum(axis=0)
        _, vectors = np.linalg.eigh(scaled.T @ scaled.conj())
        candidates: List[np.ndarray] = [*(scaled / lengths), vectors[:, -1], together / np.linalg.norm(together)]
        # The first one in a tie.
        return max(candidates, key=lambda one: float(np.min(np.abs(scaled.conj() @ one))))

    def power_scale(self, channels: Mapping[int, np.ndarray], factors: Mapping[int, float]) -> float:
        """eta / P0 for this m."""
        beam = self.beamformer(channels, factors)
        return float(min(abs(np.vdot(beam, channels[ue])) ** 2 / factors[ue] ** 2 for ue in factors))

    def error(self, channels: Mapping[int, np.ndarray], factors: Mapping[int, float]) -> float:
        """MSE of a symbol of the sum: sigma^2 |m|^2 / eta."""
        return self.noise_ratio() / self.power_scale(channels, factors)

    def noise_variance(self, seed: int, version: int, factors: Mapping[int, float]) -> float:
        channels = {ue: gains(seed, ue, version, self.antennas) for ue in factors}
        return self.error(channels, factors) / 2
