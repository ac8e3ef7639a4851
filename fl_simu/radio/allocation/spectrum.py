"""What a share of the band is worth: which rate it gives, and which shares let all finish together."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, Mapping, Optional, Tuple

import numpy as np

from fl_simu.kernel.errors import UserError

LN2 = math.log(2)
# An SNR of 300 dB: beyond it a rate and a bandwidth do not belong together.
MOST_EFFICIENT = 100.0
# Of a share or a time, what rounding may add or take.
ROUNDING = 1e-12
# Steps of Newton's method on what is next to a straight line.
NEWTONS = 6


class Spectrum(ABC):
    """The rate over the share of the band: 0 without any, increasing and concave."""

    @abstractmethod
    def rate_mbps(self, whole_mbps: float, share: float) -> float:
        """The rate with a share of the band in Mbit/s, for a UE that has `whole_mbps` with all of it."""

    @abstractmethod
    def together(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        """The shares with which all finish at the same moment, which is the earliest for the latest of them.

        Who has nothing left has no share, nor who is in outage; in proportion to the loads where all are.

        Args:
            loads_mbit: of each UE, in Mbit.
            rates_mbps: of each with the whole band, in Mbit/s.
        """

    def cheapest(
        self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float], times_s: Mapping[int, float]
    ) -> Optional[Dict[int, float]]:
        """The shares with which the times that all send are the least together, and each ends in its time.

        Who has nothing left has no share, nor who is in outage, whose time does not count.

        Args:
            loads_mbit, rates_mbps: as for `together`.
            times_s: in which each is to end.

        Returns:
            None where that cannot be, or nobody can send.
        """
        ues = [ue for ue, load in loads_mbit.items() if load and rates_mbps[ue]]
        loads, rates, times = (np.array([of[ue] for ue in ues]) for of in (loads_mbit, rates_mbps, times_s))
        # In less time than a share of 1 needs nobody ends; and what rounding takes of the time is not missed.
        if not ues or (loads / rates > times * (1 + ROUNDING)).any():
            return None
        least = self.least_shares(rates, np.minimum(loads / times, rates))
        if least.sum() > 1 + ROUNDING:
            return None
        shares = self.cheapest_shares(loads, rates, least) if len(ues) > 1 else np.ones(1)
        return {**dict.fromkeys(loads_mbit, 0.0), **dict(zip(ues, shares.tolist()))}

    @abstractmethod
    def least_shares(self, whole_mbps: np.ndarray, wanted_mbps: np.ndarray) -> np.ndarray:
        """The shares with which UEs have the rates that they want.

        Args:
            whole_mbps: their rates with the whole band, above 0, shape (n,).
            wanted_mbps: above 0 and at most those, shape (n,).
        """

    @abstractmethod
    def cheapest_shares(self, loads_mbit: np.ndarray, whole_mbps: np.ndarray, least: np.ndarray) -> np.ndarray:
        """The shares, together 1, each at least as given, with which all send for the least time together.

        Args:
            loads_mbit, whole_mbps: above 0, shape (n,).
            least: above 0, together at most 1, shape (n,).
        """

    @abstractmethod
    def part(self, share: float) -> "Spectrum":
        """That of a part of the band."""


@dataclass(frozen=True)
class Linear(Spectrum):
    """With a share s the rate is s times that of the whole band."""

    def rate_mbps(self, whole_mbps: float, share: float) -> float:
        return share * whole_mbps

    def together(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        if not any(rates_mbps.values()):
            return in_proportion(loads_mbit)
        times_s = {ue: load / rates_mbps[ue] if rates_mbps[ue] else 0.0 for ue, load in loads_mbit.items()}
        return in_proportion(times_s)

    def least_shares(self, whole_mbps: np.ndarray, wanted_mbps: np.ndarray) -> np.ndarray:
        return wanted_mbps / whole_mbps

    def cheapest_shares(self, loads_mbit: np.ndarray, whole_mbps: np.ndarray, least: np.ndarray) -> np.ndarray:
        # Of a time t alone a share s makes t / s: without the least ones s goes as the root of t. Those for whom
        # the least is most in these terms come to have it first.
        roots = np.sqrt(loads_mbit / whole_mbps)
        order = np.argsort(-least / roots, kind="stable")
        shares, free, roots_free = least.copy(), 1.0, float(roots.sum())
        for place, one in enumerate(order):
            if least[one] * roots_free <= free * roots[one]:
                rest = order[place:]
                shares[rest] = max(free, 0.0) * roots[rest] / roots[rest].sum()
                break
            free, roots_free = free - float(least[one]), float(roots[order[place + 1 :]].sum())
        return shares

    def part(self, share: float) -> Spectrum:
        return self


@dataclass(frozen=True)
class Shannon(Spectrum):
    r"""A UE puts all of its power into its share, in which there is less noise.

    .. math:: r(s) = s B \log_2(1 + \gamma / s), \quad \gamma = 2^{r(1) / B} - 1

    A constant gap to Shannon's rate is part of :math:`\gamma`.

    Args:
        bandwidth_mhz: bandwidth B of the whole band in MHz.

    >>> Shannon(1.0).rate_mbps(math.log2(2.5), 0.5)
    1.0
    """

    bandwidth_mhz: float

    def snr(self, whole_mbps: float) -> float:
        """SNR over the gap, with the whole band.

        Raises:
            UserError: no link has such a rate in that band.
        """
        if whole_mbps > MOST_EFFICIENT * self.bandwidth_mhz:
            raise UserError(
                f"a rate of {whole_mbps:g} Mbit/s in a band of {self.bandwidth_mhz:g} MHz is above "
                f"{MOST_EFFICIENT:g} bit/s/Hz, which no link has: medium.bandwidth_mhz must be that of the channel"
            )
        return math.expm1(whole_mbps / self.bandwidth_mhz * LN2)

    def rate_mbps(self, whole_mbps: float, share: float) -> float:
        if share in (0, 1):
            return share * whole_mbps
        snr = self.snr(whole_mbps)
        # Where the share is small their ratio may be beyond float64.
        nats = math.log(share + snr) - math.log(share) if snr > share else math.log1p(snr / share)
        return share * self.bandwidth_mhz * nats / LN2

    def least_shares(self, whole_mbps: np.ndarray, wanted_mbps: np.ndarray) -> np.ndarray:
        r"""The shares with which UEs have the rates that they want.

        With the SNR in the share, :math:`y = \gamma / s`, and :math:`G = r \ln 2 / (B \gamma)` the rate is right
        where :math:`\ln(1 + y) = G y`, so that :math:`1 + y = -W_{-1}(-G e^{-G}) / G`.

        Args:
            whole_mbps: their rates with the whole band, above 0, shape (n,).
            wanted_mbps: above 0 and at most those, shape (n,).

        Reference: Z. Yang, Chen, Saad, Hong, Shikh-Bahaei 2021, "Energy Efficient Federated Learning Over Wireless
        Communication Networks".
        """
        from scipy.special import lambertw

        snr = np.array([self.snr(rate) for rate in whole_mbps])
        slope = wanted_mbps / self.bandwidth_mhz * LN2 / snr
        found = -lambertw(-slope * np.exp(-slope), -1).real / slope - 1
        # Near -1/e W knows few digits, or none. The SNR is at least this, and Newton's method finds the rest.
        found = np.fmax(found, np.maximum(2 * (1 - slope), snr))
        for _ in range(3):
            steep = 1 / (1 + found) - slope
            step = np.divide(np.log1p(found) - slope * found, steep, out=np.zeros_like(found), where=steep < 0)
            found = np.maximum(found - step, snr)
        return snr / found

    def together(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        ues = [ue for ue, load in loads_mbit.items() if load and rates_mbps[ue]]
        if len(ues) < 2:
            return Linear().together(loads_mbit, rates_mbps)
        loads, rates = (np.array([of[ue] for ue in ues]) for of in (loads_mbit, rates_mbps))
        # In the longest of these times one UE needs all of the band. In their sum it is enough for all, since a
        # share s gives at least s r.
        alone_s = loads / rates
        low, high = float(alone_s.max()), float(alone_s.sum())
        middle = (low + high) / 2
        while low < middle < high:
            enough = self.least_shares(rates, loads / middle).sum() <= 1
            low, high = (low, middle) if enough else (middle, high)
            middle = (low + high) / 2
        shares = self.least_shares(rates, loads / high).tolist()
        return {**dict.fromkeys(loads_mbit, 0.0), **dict(zip(ues, shares))}

    def cheapest_shares(self, loads_mbit: np.ndarray, whole_mbps: np.ndarray, least: np.ndarray) -> np.ndarray:
        r"""The least shares or more, so that the time :math:`L r'(s) / r(s)^2` that a little more band saves is
        one number for all that have more; that number is bisected, and each share for it."""
        snr = np.array([self.snr(rate) for rate in whole_mbps])
        lowest = np.log(least)

        def saved(log_shares: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
            """The logarithm of that time, and its slope over that of the share, which is between -2 and -1.79."""
            ratio = snr * np.exp(-log_shares)
            nats, part = np.log1p(ratio), ratio / (1 + ratio)
            # Where there is hardly a signal the difference would lose its digits.
            gain = np.where(ratio < 1e-4, ratio**2 * (0.5 - 2 / 3 * ratio), nats - part)
            time = np.log(loads_mbit * gain) - 2 * (log_shares + np.log(nats))
            return time, 2 * part / nats - 2 - part**2 / gain

        def shares_for(wanted: float) -> np.ndarray:
            found = lowest
            for _ in range(NEWTONS):
                time, slope = saved(found)
                found = np.clip(found - (time - wanted) / slope, lowest, 0.0)
            return np.exp(found)

        low, high = float(saved(np.zeros_like(least))[0].min()), float(saved(lowest)[0].max())
        middle = (low + high) / 2
        while low < middle < high:
            low, high = (low, middle) if shares_for(middle).sum() <= 1 else (middle, high)
            middle = (low + high) / 2
        return shares_for(high)

    def part(self, share: float) -> Spectrum:
        return Shannon(share * self.bandwidth_mhz)


def in_proportion(weights: Mapping[int, float]) -> Dict[int, float]:
    """Shares of the whole in proportion to weights, 0 or more; the same for all where all weights are 0."""
    total = sum(weights.values())
    if not total:
        return dict.fromkeys(weights, 1 / len(weights))
    return {ue: weight / total for ue, weight in weights.items()}
