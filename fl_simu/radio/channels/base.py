"""The contract of a channel: the rate of a link over time, and quantities that follow from it."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import require

Piece = Tuple[float, float]
# A load with less than this share left has arrived. Such a remainder is a rounding error of sums, and would
# otherwise be sent after the next tick, which may be an outage.
NEGLIGIBLE = 1e-9
# From 1 bit/s to 1 Tbit/s.
LEAST_MBPS, MOST_MBPS = 1e-6, 1e6


def require_rate(field: str, rate_mbps: float, least_mbps: float = 0.0) -> None:
    """Raise BadField unless an argument is a rate between `least_mbps` and 1e6 Mbit/s."""
    require(least_mbps <= rate_mbps <= MOST_MBPS, field, rate_mbps, f"{least_mbps:g} to {MOST_MBPS:g}")


def require_rates(low: str, low_mbps: float, high: str, high_mbps: float) -> None:
    """Raise BadField unless two arguments are a lower and a higher rate."""
    require_rate(low, low_mbps)
    apart = low_mbps + LEAST_MBPS <= high_mbps <= MOST_MBPS
    require(apart, high, high_mbps, f"{low} + {LEAST_MBPS:g} to {MOST_MBPS:g}")


class Channel(ABC):
    """The rate of every UE's link over time, piecewise constant.

    Note:
        A channel has no state. Its draws are keyed by the seed, the UE and the round, or the UE and a block of
        time, so it returns the same rates whenever it is called.

    Class attributes:
        falls_below_0: whether a rate may be negative, a quirk of the notes.
        adapts: whether its rate adapts to the current SNR, so that losses must not be drawn in addition.
    """

    falls_below_0: ClassVar[bool] = False
    adapts: ClassVar[bool] = False

    @abstractmethod
    def pieces(self, seed: int, ue: int, round: int, start_s: float) -> Iterator[Piece]:
        """The rate from a start time on.

        Args:
            seed: the experiment's seed.
            ue: index of the UE.
            round: version of the global model that the upload belongs to.
            start_s: virtual time at which the first piece begins.

        Yields:
            (rate in Mbit/s, virtual time in s at which the piece ends); the last piece ends at infinity.
        """

    def arrivals_s(
        self, seed: int, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
    ) -> Tuple[float, ...]:
        """Arrival of the last bit of each load, by the integral of the rate; see `uplink.delays`.

        Args:
            seed, ue, round, start_s: as for `pieces`.
            loads_mbit: loads to send, in Mbit, in the order of sending.

        Returns:
            Virtual time in s for each load; infinity if the link never carries it.
        """
        return arrivals_over(self.pieces(seed, ue, round, start_s), start_s, loads_mbit)

    def carried_mbit(self, seed: int, ue: int, round: int, start_s: float, end_s: float) -> float:
        """The integral of the rate: how much an upload that began at `start_s` has sent by `end_s`, in Mbit."""
        return carried_over(self.pieces(seed, ue, round, start_s), start_s, end_s)

    def transmit_w(self, seed: int, ue: int, start_s: float, end_s: float) -> Optional[float]:
        """The mean transmit power of a UE between two times, in W; None if the channel models no power."""
        return None

    def rates_of(self, seed: int, ues: Sequence[int], rounds: Sequence[int], now_s: float) -> np.ndarray:
        """The rates of several links at one time, in Mbit/s; shape (UEs,). A channel may override it for speed."""
        return np.array([next(self.pieces(seed, ue, round, now_s))[0] for ue, round in zip(ues, rounds)])

    def carried_of(
        self, seed: int, ues: Sequence[int], rounds: Sequence[int], start_s: float, end_s: float
    ) -> np.ndarray:
        """`carried_mbit` of several links between the same two times, in Mbit; shape (UEs,)."""
        return np.array([self.carried_mbit(seed, ue, round, start_s, end_s) for ue, round in zip(ues, rounds)])

    def first_arrival(
        self, seed: int, ues: Sequence[int], rounds: Sequence[int], start_s: float, loads_mbit: Sequence[float]
    ) -> Tuple[float, int]:
        """The first of several links to finish, if each has a load above 0 and starts at the same time.

        Returns:
            The arrival as `arrivals_s` gives it, and the position of the link in `ues`; the first one in a tie.
        """
        arrivals = [
            self.arrivals_s(seed, ue, round, start_s, [load])[0]
            for ue, round, load in zip(ues, rounds, loads_mbit)
        ]
        return min(arrivals), arrivals.index(min(arrivals))


def arrivals_over(pieces: Iterator[Piece], start_s: float, loads_mbit: Sequence[float]) -> Tuple[float, ...]:
    """Arrival of the last bit of each load, if the loads are sent one after the other.

    The rate is integrated over time exactly, piece by piece, so a rate that changes during sending counts.

    Args:
        pieces: as `Channel.pieces` gives them from `start_s` on.
        start_s: virtual time at which sending begins.
        loads_mbit: loads to send, in Mbit, in the order of sending.

    Returns:
        Virtual time in s for each load; infinity if the link never carries it.

    >>> arrivals_over(iter([(10.0, 1.0), (5.0, math.inf)]), 0.0, [5.0, 15.0])
    (0.5, 3.0)
    """
    arrivals: List[float] = []
    now, rate_mbps, until_s, negligible = start_s, 0.0, start_s, 0.0
    for load in loads_mbit:
        left, negligible = load, negligible + NEGLIGIBLE * load
        while left > 0 and now < math.inf:
            carried = rate_mbps * (until_s - now) if rate_mbps else 0.0
            if left <= carried + negligible:
                now, left = min(now + left / rate_mbps, until_s) if rate_mbps else now, 0.0
            else:
                now, left = until_s, left - carried
                rate_mbps, until_s = next(pieces, (0.0, math.inf))
        arrivals.append(now)
    return tuple(arrivals)


def carried_over(pieces: Iterator[Piece], start_s: float, end_s: float) -> float:
    """How much a link carries between two times, in Mbit."""
    now, carried = start_s, 0.0
    for rate_mbps, until_s in pieces:
        if now >= end_s:
            break
        carried += rate_mbps * (min(until_s, end_s) - now)
        now = until_s
    return carried
