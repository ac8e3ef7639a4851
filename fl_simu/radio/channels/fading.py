"""A cell: positions, path loss, shadowing, block fading, Shannon's rate."""

import functools
import math
from dataclasses import dataclass
from typing import ClassVar, Dict, NamedTuple, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.randomness import briefly, stream
from fl_simu.radio.channels.path_loss import PATH_LOSSES, LogDistance, PathLoss
from fl_simu.radio.channels.ticked import BLOCK, Ticked


class Site(NamedTuple):
    """The position of a UE and the resulting link: distance in m, line of sight, mean SNR and loss in dB."""

    distance_m: float
    line_of_sight: bool
    mean_snr_db: float
    loss_db: float


# Where the models are valid: path loss counts from 1 m on, and no cell reaches beyond 100 km.
RANGES: Dict[str, Tuple[float, float]] = {
    "min_distance_m": (1, 1e5),
    "radius_m": (1, 1e5),
    "carrier_ghz": (0.01, 1000),
    "exponent": (0.1, 10),
    "shadowing_db": (0, 100),
    "power_dbm": (-200, 200),
    "noise_dbm_hz": (-300, 100),
    "bandwidth_mhz": (1e-6, 1e6),
    "shares": (1, 1e9),
    "gap_db": (0, 100),
}


@dataclass(frozen=True)
class Fading(Ticked):
    r"""UEs at random positions in a cell, with block fading on their links.

    .. math:: r = B \log_2(1 + snr / gap), \quad snr = \frac{P\,|h|^2}{N_0 B\,L}, \quad r = 0 \text{ if } snr < min

    Each UE has one position (uniform over the area), one line-of-sight state and one shadowing value for the
    complete run; |h|^2, of mean 1, is drawn for each block of `tick_s`. With Rayleigh fading the SNR is
    exponentially distributed.

    Args:
        tick_s: length of a fading block in s, 0.0001 to 1e9.
        radius_m: radius of the cell in m, above `min_distance_m`, at most 100,000.
        min_distance_m: smallest distance of a UE from the BS in m, 1 to 100,000.
        carrier_ghz: carrier frequency in GHz, 0.01 to 1000.
        path_loss: path loss model: "log_distance", "uma" or "umi" (3GPP TR 38.901, with its line-of-sight
            probability).
        exponent: path loss exponent of the log-distance model, 0.1 to 10.
        shadowing_db: standard deviation of the log-normal shadowing in dB, 0 to 100.
        rician_k_db: Rician K factor, the ratio of direct to scattered power, in dB, at most 100; `-inf` is
            Rayleigh fading.
        power_dbm: transmit power of a UE in dBm, -200 to 200.
        noise_dbm_hz: noise density at the BS, including its noise figure, in dBm/Hz, -300 to 100.
        bandwidth_mhz: bandwidth of the cell in MHz, 1e-6 to 1e6.
        shares: number of equal parts of the bandwidth, one for each sending UE, 1 to 1e9.
        gap_db: SNR gap of the link to Shannon's rate in dB, 0 to 100.
        min_snr_db: SNR in dB below which the link is in outage and carries nothing, at most 100.

    Reference: Goldsmith, Wireless Communications, chapters 2 to 4.
    """

    tick_s: float = 0.1
    radius_m: float = 500.0
    min_distance_m: float = 10.0
    carrier_ghz: float = 2.0
    path_loss: str = "log_distance"
    exponent: float = 3.5
    shadowing_db: float = 8.0
    rician_k_db: float = -math.inf
    power_dbm: float = 23.0
    noise_dbm_hz: float = -169.0
    bandwidth_mhz: float = 20.0
    shares: int = 16
    gap_db: float = 3.0
    min_snr_db: float = -10.0

    adapts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.path_loss in PATH_LOSSES, "path_loss", self.path_loss, "one of " + ", ".join(PATH_LOSSES))
        for name, (low, high) in RANGES.items():
            require(low <= getattr(self, name) <= high, name, getattr(self, name), f"{low:g} to {high:g}")
        for name in ("rician_k_db", "min_snr_db"):
            require(getattr(self, name) <= 100, name, getattr(self, name), "at most 100")
        require(self.min_distance_m < self.radius_m, "radius_m", self.radius_m, "above min_distance_m")

    def block(self, seed: int, ue: int, number: int) -> np.ndarray:
        return self.rates_mbps(self.snr(seed, ue, number))

    def blocks(self, seed: int, ues: Sequence[int], number: int) -> np.ndarray:
        cls = type(self)
        if cls.snr is not Fading.snr or cls.power_gain is not Fading.power_gain:
            return self.rates_mbps(np.stack([self.snr(seed, ue, number) for ue in ues]))
        parts = np.empty((len(ues), 2, BLOCK))
        for own, ue in zip(parts, ues):
            briefly(seed, "channel", ue, number).standard_normal(out=own)
        mean_snr = np.array([10 ** (site(self, seed, ue).mean_snr_db / 10) for ue in ues])
        return self.rates_mbps(mean_snr[:, None] * self._power(parts))

    def snr(self, seed: int, ue: int, number: int) -> np.ndarray:
        """SNR of a link (not in dB) in the ticks of a block, shape (256,)."""
        mean_snr = 10 ** (site(self, seed, ue).mean_snr_db / 10)
        return mean_snr * self.power_gain(briefly(seed, "channel", ue, number), BLOCK)

    def rates_mbps(self, snr: np.ndarray) -> np.ndarray:
        """Rates at these SNRs (not in dB), in Mbit/s, shape as `snr`."""
        rates = self.share_mhz() * np.log2(1 + snr / 10 ** (self.gap_db / 10))
        return np.where(snr < 10 ** (self.min_snr_db / 10), 0.0, rates)

    def model(self) -> PathLoss:
        """The path loss model."""
        if self.path_loss == "log_distance":
            return LogDistance(self.exponent)
        return PATH_LOSSES[self.path_loss]()

    def noise_dbm(self) -> float:
        """Noise in the share of one UE, in dBm."""
        return self.noise_dbm_hz + 10 * math.log10(self.share_mhz() * 1e6)

    def share_mhz(self) -> float:
        """Bandwidth of one UE in MHz; 1 bit/s/Hz is 1 Mbit/s per MHz."""
        return self.bandwidth_mhz / self.shares

    def power_gain(self, draws: np.random.Generator, count: int) -> np.ndarray:
        """|h|^2 of Rician (or Rayleigh) fading, mean 1, shape (count,)."""
        return self._power(draws.standard_normal((2, count)))

    def _power(self, parts: np.ndarray) -> np.ndarray:
        """|h|^2 from normal numbers of shape (..., 2, count), which it overwrites; shape (..., count)."""
        k = 10 ** (self.rician_k_db / 10)
        parts *= math.sqrt(1 / (2 * (k + 1)))
        parts[..., 0, :] += math.sqrt(k / (k + 1))
        parts *= parts
        return parts[..., 0, :] + parts[..., 1, :]


@functools.lru_cache(maxsize=65536)
def site(channel: Fading, seed: int, ue: int) -> Site:
    """A UE's position, line-of-sight state and mean SNR, drawn once for a run."""
    draws = stream(seed, "site", ue)
    near, far = channel.min_distance_m**2, channel.radius_m**2
    distance_m = np.array([math.sqrt(near + (far - near) * draws.random())])
    model = channel.model()
    sight = draws.random() < model.line_of_sight_probability(distance_m)
    loss_db = (
        model.loss_db(distance_m, channel.carrier_ghz, sight)[0] + channel.shadowing_db * draws.standard_normal()
    )
    mean_snr_db = float(channel.power_dbm - loss_db - channel.noise_dbm())
    return Site(float(distance_m[0]), bool(sight[0]), mean_snr_db, float(loss_db))
