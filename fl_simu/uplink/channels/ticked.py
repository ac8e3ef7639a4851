"""Channels whose rate changes at regular ticks: what they share."""

import functools
import itertools
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Iterator, List, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.uplink.channels.base import Channel, Piece

BLOCK = 256
MAX_BLOCKS = 1024


@dataclass(frozen=True)
class Ticked(Channel):
    """A rate that holds for one tick and then changes; ticks are counted from virtual time 0.

    The course of a UE's rate is drawn in blocks of 256 ticks, each with a generator of its own, so that it is the
    same whenever and in whatever order it is asked for.

    Args:
        tick_s: length of a tick in s, above 0.
    """

    tick_s: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.tick_s < math.inf, "tick_s", self.tick_s, "a finite number above 0")

    @abstractmethod
    def block(self, seed: int, ue: int, number: int) -> np.ndarray:
        """Rates in Mbit/s of ticks 256 `number` to 256 `number` + 255, float64 of shape (256,)."""

    def pieces(self, seed: int, ue: int, round: int, start_s: float) -> Iterator[Piece]:
        for tick in itertools.count(math.floor(start_s / self.tick_s)):
            until_s = (tick + 1) * self.tick_s
            if until_s > start_s:
                yield float(course(self, seed, ue, tick // BLOCK)[tick % BLOCK]), until_s

    def arrivals_s(
        self, seed: int, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
    ) -> Tuple[float, ...]:
        """As `Channel.arrivals_s`, a block at a time: 1 ms ticks make many pieces.

        What a link has not carried after 262,144 ticks never arrives.
        """
        arrivals: List[float] = []
        sent = list(itertools.accumulate(loads_mbit))
        carried = 0.0
        first = math.floor(start_s / self.tick_s) // BLOCK
        for number in range(first, first + MAX_BLOCKS):
            rates = course(self, seed, ue, number)
            edges = np.maximum(_edges_s(self.tick_s, number), start_s)
            total = np.zeros(BLOCK + 1)
            (rates * (edges[1:] - edges[:-1])).cumsum(out=total[1:])
            total += carried
            carried = float(total[-1])
            while len(arrivals) < len(sent) and sent[len(arrivals)] <= carried:
                arrivals.append(_crossing(edges, total, rates, sent[len(arrivals)], start_s))
            if len(arrivals) == len(sent):
                break
        return tuple(arrivals) + (math.inf,) * (len(sent) - len(arrivals))


def _crossing(edges: np.ndarray, total: np.ndarray, rates: np.ndarray, wanted: float, start_s: float) -> float:
    """The moment at which the carried total, linear between the edges, reaches `wanted`."""
    place = int(total.searchsorted(wanted))
    if place == 0 or total[place - 1] == wanted:
        return max(float(edges[max(place - 1, 0)]), start_s)
    return float(edges[place - 1] + (wanted - total[place - 1]) / rates[place - 1])


@functools.lru_cache(maxsize=4096)
def _edges_s(tick_s: float, number: int) -> np.ndarray:
    """Where the ticks of a block begin, and where its last one ends, in s; shape (257,)."""
    edges = (number * BLOCK + np.arange(BLOCK + 1)) * tick_s
    edges.setflags(write=False)
    return edges


@functools.lru_cache(maxsize=4096)
def course(channel: Ticked, seed: int, ue: int, number: int) -> np.ndarray:
    """A block of rates, remembered."""
    rates = channel.block(seed, ue, number)
    rates.setflags(write=False)
    return rates


def rate_before(channel: Ticked, seed: int, ue: int, number: int) -> float:
    """The rate in Mbit/s of the last tick before a block, for channels whose blocks build on one another."""
    for earlier in range(number):
        rates = course(channel, seed, ue, earlier)
    return float(rates[-1])
