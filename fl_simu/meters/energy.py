"""The energy that UEs spend."""

from dataclasses import dataclass
from typing import Mapping

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_factor
from fl_simu.meters.base import Meter, UploadView
from fl_simu.results.columns import Column


@dataclass(frozen=True)
class Energy(Meter):
    r"""The energy that UEs spend on training and sending.

    .. math:: E = \kappa C D E_p f^2 + (P / \eta + P_c) t

    where C is the number of cycles per sample, D the number of samples, E_p the number of epochs, f the
    processor's frequency, P the transmit power of an amplifier with efficiency eta, P_c the circuit's power, and t
    the time on the air. A UE that waits for its turn on a shared medium is not on the air; a UE whose channel is
    in outage is. An upload that is given up costs what was sent until then, and the training in full. A UE that
    drops out spends nothing.

    Wasted energy is the energy of training and sending for an upload of which the BS accepts nothing. It includes
    the training of UEs that then do not send.

    C and f are those of the compute rule if that has processors, as `cycles` has, so that time and energy refer to
    the same processor; otherwise they are the arguments below. P is that of the channel if it controls the power,
    as `cell` may, or of the medium if that sets powers, as `resource_blocks` does.

    Args:
        kappa: :math:`\kappa`, the complete coefficient, in J s^2 per cycle^3. Papers use 1e-27, 1e-28, or alpha /
            2 with alpha = 2e-28.
        cycles_per_sample: C, if the compute rule has no processors.
        frequency_hz: f in Hz, if the compute rule has no processors.
        power_w: P in W, above 0, if neither channel nor medium sets a power.
        efficiency: eta, above 0, at most 1.
        circuit_w: P_c in W, at least 0.

    Reference: Liu, Zhang, Song, Letaief 2020, "Client-Edge-Cloud Hierarchical Federated Learning"; Tran, Bao,
    Zomaya, Nguyen, Hong 2019, "Federated Learning over Wireless Networks: Optimization Model Design and Analysis".
    """

    kappa: float = 1e-28
    cycles_per_sample: float = 2e4
    frequency_hz: float = 1e9
    power_w: float = 0.5
    efficiency: float = 1.0
    circuit_w: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.kappa <= 1, "kappa", self.kappa, "0 to 1")
        require_factor("cycles_per_sample", self.cycles_per_sample, or_zero=True)
        require_factor("frequency_hz", self.frequency_hz)
        require_factor("power_w", self.power_w)
        require(0 < self.efficiency <= 1, "efficiency", self.efficiency, "above 0, at most 1")
        require_factor("circuit_w", self.circuit_w, or_zero=True)

    @property
    def columns(self) -> Mapping[str, Column]:
        return {
            "energy_j": Column("J", "energy of the UEs", axis=True),
            "compute_energy_j": Column("J", "energy of training"),
            "transmit_energy_j": Column("J", "energy of sending"),
            "wasted_energy_j": Column("J", "energy for uploads of which nothing was taken"),
        }

    def upload(self, view: UploadView) -> Mapping[str, float]:
        per_sample, frequency_hz = view.processor or (self.cycles_per_sample, self.frequency_hz)
        cycles = per_sample * view.samples * view.epochs if view.works else 0.0
        compute_j = self.kappa * cycles * frequency_hz**2
        power_w = self.power_w if view.transmit_w is None else view.transmit_w
        transmit_j = (power_w / self.efficiency + self.circuit_w) * view.airtime_s
        spent_j = compute_j + transmit_j
        return {
            "energy_j": spent_j,
            "compute_energy_j": compute_j,
            "transmit_energy_j": transmit_j,
            "wasted_energy_j": spent_j if view.accepted == "none" else 0.0,
        }
