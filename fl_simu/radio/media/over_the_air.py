"""Over-the-air sums by truncated channel inversion."""

import math
from dataclasses import dataclass
from statistics import median
from typing import Iterable, Iterator, Mapping, Sequence, Tuple

from fl_simu.kernel.columns import Column
from fl_simu.kernel.errors import require
from fl_simu.kernel.messages import Update
from fl_simu.kernel.randomness import briefly
from fl_simu.radio.link import Link, Upload
from fl_simu.radio.media.analog import Analog, Cohort, gains, moments, numbers_of
from fl_simu.radio.media.base import Air

LIMITED = "air_limited"
SCALES = ("pooled", "median")


@dataclass(frozen=True)
class OverTheAir(Analog):
    r"""Updates are sent as amplitudes at the same time and add up on the air; the BS receives only the noisy mean.

    The UEs that received a model together begin to send when all of them have trained. A UE that fails is not
    waited for, as if the BS knew. Each UE i scales what it sends (the update or the weights, as `payload` says)
    and divides it by its channel:

    .. math:: s_i = \phi_i \frac{x_i - \mu}{\nu}, \quad y = \sqrt{\rho} \sum_{i \in S} s_i + z, \quad
        \hat{x} = \mu + \frac{\nu}{\Phi} \Re \frac{y}{\sqrt{\rho}}, \quad \Phi = \sum_{i \in S} \phi_i

    so that each number of the mean has Gaussian noise of variance

    .. math:: \nu^2 \frac{\sigma^2}{2 \rho \Phi^2}, \quad \rho = \frac{P_0}{E_1(g)}

    and no other error. h_i is Rayleigh fading with E|h|^2 = 1, drawn once per UE and round, and sigma^2 is the
    noise in a symbol. A UE sends only if :math:`|h_i|^2 \ge g`. The others, on average a share of :math:`1 -
    e^{-g}`, are `silent`: they train, are not in the mean, and spend nothing on the air. rho is set so that the
    mean power per number, over UEs and rounds including the silent ones, is P0. A symbol carries two numbers, one
    on each quadrature, and so has twice that power.

    :math:`\phi_i = w_i / \max_j w_j` for the weights of the aggregation rule. With `plain_mean` all are 1, and Phi
    is the number K of sending UEs. With `mean` the UE with the most samples has the power P0, and the others less.

    mu is the mean of all numbers of the sending UEs, and nu^2 their variance around it, over UEs and numbers. UEs
    and BS are assumed to know these two, g, and the weights: they would be sent as side information, which is
    neither charged nor noisy. A sum takes ceil(d / (2 subcarriers)) symbols for d numbers, however many UEs send.

    No bits are counted (`uplink_bits` is 0). The columns `air_symbols` and `air_noise_std` report the symbols of
    each round and the standard deviation of the noise in the model's units. `channel`, `delay` and `size` are not
    used. The meter `energy` uses its own power for the time in which a UE sends, and counts nothing while the UE
    waits.

    With `csi_error` the UE knows only :math:`\hat{h} = h + e`, where e is complex Gaussian of that variance. It
    uses this in place of h for the threshold, the inversion and rho. Its signal arrives multiplied by :math:`a = h
    / \hat{h}`, whose imaginary part mixes the quadratures. With :math:`v = 1 + \sigma_e^2`, for the sending UEs

    .. math:: E[a] = \frac{1}{v}, \quad E|a - E[a]|^2 = \frac{\sigma_e^2}{v^2} E_1(g / v) e^{g / v}, \quad
        \rho = \frac{P_0 v}{E_1(g / v)}

    and the silent share is 1 - e^(-g / v).

    Up to here a UE may send with any power, as long as the mean over all UEs is P0: a UE whose update is b times
    as large as the others' sends it with b^2 times their power. With `most_power_db` no amplifier gives more than
    P_m. UE i then multiplies all of its numbers by

    .. math:: a_i = \min\left(1, \sqrt{\frac{P_m |\hat{h}_i|^2}{\rho P_i}}\right)

    where P_i is the mean of :math:`s_i^2` over its numbers; neither the BS nor the other UEs know this factor. The
    column `air_limited` counts the UEs that were limited. With P_m = rho / g, which is P0 / (g E1(g)), a UE on the
    weakest channel that may send can still send numbers of variance nu^2, and a UE on a better channel an update
    larger by :math:`|h_i| / \sqrt{g}`.

    The effect of this limit depends on nu, by which all UEs scale. "pooled" is the variance above, in which the
    numbers of a loud UE count like those of any other: the UE hides behind the nu that it inflates. With "median",
    mu is the median of the means of the sending UEs, and nu^2 the median of the mean squares of their numbers
    around mu. A few UEs cannot move these far, whatever they report.

    It requires the codec `float32`, the rules `mean` or `plain_mean`, and a protocol that takes a round's sum or
    none of it: `wait_for_all`, `deadline`, or `event_triggered` with `absent = "out"`. If a deadline comes before
    the sum, all of it is lost; `latest_s` makes the UEs that are ready send in time.

    Args:
        least_gain: g, 0 to 100. With 0 the mean power would be infinite, so only `snr_db = inf` and `csi_error =
            0` are allowed.
        csi_error: variance of e, 0 to 100.
        most_power_db: P_m / P0 in dB, where P_m limits the mean power per number of an upload, -100 to 200; `inf`
            for no limit. With a limit, all updates of a round are in memory together.
        scale: how mu and nu follow from the mean and the variance that each UE reports: "pooled" or "median"

    Reference: Zhu, Wang, Huang 2020, "Broadband Analog Aggregation for Low-Latency Federated Edge Learning", with
    fading that is flat over the band, so that a UE sends all of its update or none.
    """

    least_gain: float = 0.1
    csi_error: float = 0.0
    most_power_db: float = math.inf
    scale: str = "pooled"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.csi_error <= 100, "csi_error", self.csi_error, "0 to 100")
        least, free = self.least_gain, self.snr_db == math.inf and not self.csi_error
        allowed = "0 to 100" if free else "above 0 and at most 100; 0 with snr_db = inf and csi_error = 0 only"
        require(0 <= least <= 100 and (least > 0 or free), "least_gain", least, allowed)
        most, unlimited = self.most_power_db, self.most_power_db == math.inf
        require(-100 <= most <= 200 or unlimited, "most_power_db", most, "in dB, -100 to 200, or inf")
        limited = "inf with least_gain = 0, where the mean power is infinite"
        require(least > 0 or unlimited, "most_power_db", most, limited)
        require(self.scale in SCALES, "scale", self.scale, " or ".join(SCALES))

    @property
    def columns(self) -> Mapping[str, Column]:
        if self.most_power_db == math.inf:
            return super().columns
        return {**super().columns, LIMITED: Column("", "UEs at the limit of their power")}

    def silent_share(self) -> float:
        """The mean share of UEs that do not send.

        >>> round(OverTheAir(least_gain=0.1).silent_share(), 4)
        0.0952
        """
        return -math.expm1(-self._relative_gain())

    def power_ratio(self) -> float:
        """P0 / rho: the mean transmit power per number over all UEs, relative to the received power.

        >>> round(OverTheAir(least_gain=0.1).power_ratio(), 4)
        1.8229
        """
        return _exp1(self._relative_gain()) / (1 + self.csi_error)

    def residual_mean(self) -> float:
        """E[a] of the sending UEs."""
        return 1 / (1 + self.csi_error)

    def residual_variance(self) -> float:
        """E|a - E[a]|^2 of the sending UEs."""
        if not self.csi_error:
            return 0.0
        gain = self._relative_gain()
        return self.csi_error / (1 + self.csi_error) ** 2 * _exp1(gain) * math.exp(gain)

    def known_gain(self, seed: int, ue: int, version: int) -> complex:
        """The channel h of a UE in a round as the UE knows it, with the error."""
        return gains(seed, ue, version, 1)[0] + self._error(seed, ue, version)

    def silence(self, state: Cohort, link: Link, upload: Upload, now_s: float) -> str:
        weak = abs(self.known_gain(link.seed, upload.ue, upload.version)) ** 2 < self.least_gain
        return super().silence(state, link, upload, now_s) or ("silent" if weak else "")

    def noise_variance(self, seed: int, version: int, factors: Mapping[int, float]) -> float:
        return self.noise_ratio() * self.power_ratio() / 2 if self.snr_db < math.inf else 0.0

    def side_numbers(self, means: Sequence[float], variances: Sequence[float]) -> Tuple[float, float]:
        if self.scale == "pooled":
            return super().side_numbers(means, variances)
        centre = median(means)
        return centre, math.sqrt(median(one + (mean - centre) ** 2 for mean, one in zip(means, variances)))

    def arriving(self, updates: Iterable[Update], air: Air) -> Iterator[Tuple[Update, complex]]:
        if self.most_power_db == math.inf:
            yield from super().arriving(updates, air)
            return
        kept = list(updates)
        told = [moments(numbers_of(update, air)) for update in kept]
        weights = [air.weight_of(update) or 0.0 for update in kept]
        centre, spread = self.side_numbers(*zip(*told)) if kept else (0.0, 0.0)
        for (update, left), (mean, variance), weight in zip(super().arriving(kept, air), told, weights):
            wanted = weight * math.sqrt(variance + (mean - centre) ** 2)
            gain = abs(self.known_gain(air.link.seed, update.ue, update.version))
            most = gain * math.sqrt(10 ** (self.most_power_db / 10) * self.power_ratio()) * spread * max(weights)
            held_back = wanted > most
            air.told[LIMITED] += float(held_back)
            yield update, left * most / wanted if held_back else left

    def residual(self, seed: int, ue: int, version: int) -> complex:
        if not self.csi_error:
            return 1.0
        gain = gains(seed, ue, version, 1)[0]
        return gain / (gain + self._error(seed, ue, version))

    def _error(self, seed: int, ue: int, version: int) -> complex:
        if not self.csi_error:
            return 0.0
        real, imaginary = briefly(seed, "error of the gain", ue, version).standard_normal(2)
        return math.sqrt(self.csi_error / 2) * complex(real, imaginary)

    def _relative_gain(self) -> float:
        return self.least_gain / (1 + self.csi_error)


def _exp1(x: float) -> float:
    """The exponential integral E1, infinite at 0."""
    from scipy.special import exp1

    return float(exp1(x))
