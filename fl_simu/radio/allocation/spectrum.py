"""The value of a share of the band: the rate that it gives, and the shares with which all UEs finish together."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, Mapping, Optional, Tuple

import numpy as np

from fl_simu.kernel.errors import UserError

LN2 = math.log(2)
# In bit/s/Hz, an SNR of about 300 dB; a higher rate does not fit the bandwidth.
MOST_EFFICIENT = 100.0
# Relative tolerance for rounding in a share or a time.
ROUNDING = 1e-12
# Steps of Newton's method on a function that is almost linear.
NEWTONS = 6


class Spectrum(ABC):
    """The rate as a function of the share of the band: 0 at 0, increasing and concave."""

    @abstractmethod
    def rate_mbps(self, whole_mbps: float, share: float) -> float:
        """The rate in Mbit/s with a share of the band, for a UE that has `whole_mbps` with the complete band."""

    @abstractmethod
    def together(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        """The shares with which all UEs finish at the same moment, which is the earliest possible end of the last
        one.

        A UE in outage or with nothing left gets no share. If all UEs are in outage, shares are in proportion to
        the loads.

        Args:
            loads_mbit: load of each UE, in Mbit.
            rates_mbps: rate of each UE with the complete band, in Mbit/s.
        """

    def cheapest(
        self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float], times_s: Mapping[int, float]
    ) -> Optional[Dict[int, float]]:
        """The shares for which the sum of all sending times is smallest and each UE ends within its time.

        A UE in outage or with nothing left gets no share, and its time does not count.

        Args:
            loads_mbit, rates_mbps: as for `together`.
            times_s: time within which each UE must end.

        Returns:
            The shares; None if no shares meet the times, or if no UE can send.
        """
        ues = [ue for ue, load in loads_mbit.items() if load and rates_mbps[ue]]
        loads, rates, times = (np.array([of[ue] for ue in ues]) for of in (loads_mbit, rates_mbps, times_s))
        # No UE ends sooner than with a share of 1; the tolerance is for rounding.
        if not ues or (loads / rates > times * (1 + ROUNDING)).any():
            return None
        least = self.least_shares(rates, np.minimum(loads / times, rates))
        if least.sum() > 1 + ROUNDING:
            return None
        shares = self.cheapest_shares(loads, rates, least) if len(ues) > 1 else np.ones(1)
        return {**dict.fromkeys(loads_mbit, 0.0), **dict(zip(ues, shares.tolist()))}

    @abstractmethod
    def least_shares(self, whole_mbps: np.ndarray, wanted_mbps: np.ndarray) -> np.ndarray:
        """The shares with which UEs get the wanted rates.

        Args:
            whole_mbps: their rates with the complete band, above 0, shape (n,).
            wanted_mbps: above 0, at most `whole_mbps`, shape (n,).
        """

    @abstractmethod
    def cheapest_shares(self, loads_mbit: np.ndarray, whole_mbps: np.ndarray, least: np.ndarray) -> np.ndarray:
        """Shares that sum to 1, each at least the given one, for which the sum of all sending times is smallest.

        Args:
            loads_mbit, whole_mbps: above 0, shape (n,).
            least: above 0, together at most 1, shape (n,).
        """

    @abstractmethod
    def part(self, share: float) -> "Spectrum":
        """The spectrum of a part of the band."""


@dataclass(frozen=True)
class Linear(Spectrum):
    """The rate is proportional to the share."""

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
        # A UE that takes time t alone takes t / s with share s. Without the least shares, the optimal s is
        # proportional to the square root of t. UEs whose least share is largest relative to this are handled
        # first.
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
    r"""A UE puts all of its power into its share; a narrower share has less noise.

    .. math:: r(s) = s B \log_2(1 + \gamma / s), \quad \gamma = 2^{r(1) / B} - 1

    A constant gap to Shannon's rate is part of :math:`\gamma`.

    Args:
        bandwidth_mhz: bandwidth B of the complete band in MHz.

    >>> Shannon(1.0).rate_mbps(math.log2(2.5), 0.5)
    1.0
    """

    bandwidth_mhz: float

    def snr(self, whole_mbps: float) -> float:
        """SNR over the gap, with the complete band.

        Raises:
            UserError: the rate is too high for the bandwidth.
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
        # For a small share, snr / share may exceed the range of float64.
        nats = math.log(share + snr) - math.log(share) if snr > share else math.log1p(snr / share)
        return share * self.bandwidth_mhz * nats / LN2

    def least_shares(self, whole_mbps: np.ndarray, wanted_mbps: np.ndarray) -> np.ndarray:
        r"""The shares with which UEs get the wanted rates.

        With the SNR in the share, :math:`y = \gamma / s`, and :math:`G = r \ln 2 / (B \gamma)`, the condition for
        the rate is :math:`\ln(1 + y) = G y`, so :math:`1 + y = -W_{-1}(-G e^{-G}) / G`.

        Args:
            whole_mbps: their rates with the complete band, above 0, shape (n,).
            wanted_mbps: above 0, at most `whole_mbps`, shape (n,).

        Reference: Z. Yang, Chen, Saad, Hong, Shikh-Bahaei 2021, "Energy Efficient Federated Learning Over Wireless
        Communication Networks".
        """
        from scipy.special import lambertw

        snr = np.array([self.snr(rate) for rate in whole_mbps])
        slope = wanted_mbps / self.bandwidth_mhz * LN2 / snr
        found = -lambertw(-slope * np.exp(-slope), -1).real / slope - 1
        # Near -1/e, W is inaccurate. The SNR is at least this lower bound, and Newton's method finds the rest.
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
        # The smallest T lies between the longest of these times, in which one UE needs the complete band, and
        # their sum, which is enough for all, since a share s gives at least s r.
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
        r"""Shares of at least the least ones for which :math:`L r'(s) / r(s)^2`, the time that a little more band
        saves, is equal for all UEs above their least share. Bisection finds this value; Newton's method finds each
        share for it.
        """
        snr = np.array([self.snr(rate) for rate in whole_mbps])
        lowest = np.log(least)

        def saved(log_shares: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
            """The logarithm of the saved time, and its derivative by the log share, between -2 and -1.79."""
            ratio = snr * np.exp(-log_shares)
            nats, part = np.log1p(ratio), ratio / (1 + ratio)
            # At a very low SNR the difference would lose its digits.
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
    """Shares in proportion to weights of 0 or more; equal shares if all weights are 0."""
    total = sum(weights.values())
    if not total:
        return dict.fromkeys(weights, 1 / len(weights))
    return {ue: weight / total for ue, weight in weights.items()}
