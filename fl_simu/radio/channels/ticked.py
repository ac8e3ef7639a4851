"""Channels whose rate changes at regular ticks: what they share."""

import functools
import itertools
import math
from abc import abstractmethod
from array import array
from dataclasses import dataclass
from typing import Iterator, List, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import BadField, require
from fl_simu.radio.channels.base import NEGLIGIBLE, Channel, Piece

BLOCK = 256
MAX_BLOCKS = 1024
SHORTEST_TICK_S, LONGEST_TICK_S = 1e-4, 1e9
# Ticks whose ends float64 tells apart; and as many as a link walks through in half a second or so.
MOST_TICKS = 2**50
MOST_WALKED_TICKS = 10_000_000


@dataclass(frozen=True)
class Ticked(Channel):
    """A rate that holds for one tick and then changes; ticks are counted from virtual time 0.

    The course of a UE's rate is drawn in blocks of 256 ticks, each with a generator of its own, so that it is the
    same whenever and in whatever order it is asked for. What a link has not carried after 262,144 ticks never
    arrives.

    Args:
        tick_s: length of a tick in s, 0.0001 to 1e9.
    """

    tick_s: float = 1.0

    def __post_init__(self) -> None:
        require(SHORTEST_TICK_S <= self.tick_s <= LONGEST_TICK_S, "tick_s", self.tick_s, "0.0001 to 1e9")

    @abstractmethod
    def block(self, seed: int, ue: int, number: int) -> np.ndarray:
        """Rates in Mbit/s of ticks 256 `number` to 256 `number` + 255, float64 of shape (256,)."""

    def most_ticks(self) -> int:
        """How many ticks from virtual time 0 on the channel knows."""
        return MOST_TICKS

    def in_round(self, round: int) -> "Ticked":
        """The channel as uploads of one round find it; by default all find the same one."""
        return self

    def pieces(self, seed: int, ue: int, round: int, start_s: float) -> Iterator[Piece]:
        channel, first = self.in_round(round), math.floor(start_s / self.tick_s)
        for number in itertools.count(first // BLOCK):
            for tick, rate_mbps in enumerate(course(channel, seed, ue, number).tolist(), number * BLOCK):
                until_s = (tick + 1) * self.tick_s
                if tick >= first and until_s > start_s:
                    yield rate_mbps, until_s

    def arrivals_s(
        self, seed: int, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
    ) -> Tuple[float, ...]:
        """As `Channel.arrivals_s`, a block at a time: 1 ms ticks make many pieces.

        What a link has not carried after 262,144 ticks never arrives.
        """
        arrivals: List[float] = []
        sent = list(itertools.accumulate(loads_mbit))
        channel, carried = self.in_round(round), 0.0
        first = math.floor(start_s / self.tick_s) // BLOCK
        for number in range(first, first + MAX_BLOCKS):
            rates = course(channel, seed, ue, number)
            edges = np.maximum(_edges_s(self.tick_s, number), start_s)
            total = np.zeros(BLOCK + 1)
            (rates * (edges[1:] - edges[:-1])).cumsum(out=total[1:])
            total += carried
            carried = float(total[-1])
            while len(arrivals) < len(sent) and sent[len(arrivals)] * (1 - NEGLIGIBLE) <= carried:
                arrivals.append(_crossing(edges, total, rates, sent[len(arrivals)], start_s))
            if len(arrivals) == len(sent):
                break
        return tuple(arrivals) + (math.inf,) * (len(sent) - len(arrivals))


@dataclass(frozen=True)
class Walked(Ticked):
    """A rate whose ticks build on one another: each block of them begins where the one before has ended.

    A link walks from tick to tick, once: a run whose virtual time goes beyond 10,000,000 ticks ends with a line
    that says so. A `gauss_markov` walks only where its memory is long.

    Note:
        Where a link stood at the end of each block is remembered, and can be drawn again: a block costs what lies
        between it and the blocks that were asked for before.
    """

    @abstractmethod
    def start(self, seed: int, ue: int) -> float:
        """Where a link stands before its first block."""

    @abstractmethod
    def onward(self, seed: int, ue: int, number: int, state: float) -> Tuple[np.ndarray, float]:
        """Rates of a block as for `block`, and where the link then stands, given where it stood before."""

    def most_ticks(self) -> int:
        return MOST_WALKED_TICKS

    def block(self, seed: int, ue: int, number: int) -> np.ndarray:
        before = _before_each_block(self, seed, ue)
        for now in range(min(number, len(before) - 1), number + 1):
            rates, state = self.onward(seed, ue, now, before[now])
            if now + 1 == len(before):
                before.append(state)
        return rates


def _crossing(edges: np.ndarray, total: np.ndarray, rates: np.ndarray, wanted: float, start_s: float) -> float:
    """The moment at which the carried total, linear between the edges, reaches `wanted`."""
    place = int(total.searchsorted(wanted * (1 - NEGLIGIBLE)))
    if place == 0:
        return max(float(edges[0]), start_s)
    return min(float(edges[place - 1] + (wanted - total[place - 1]) / rates[place - 1]), float(edges[place]))


@functools.lru_cache(maxsize=4096)
def _edges_s(tick_s: float, number: int) -> np.ndarray:
    """Where the ticks of a block begin, and where its last one ends, in s; shape (257,)."""
    edges = (number * BLOCK + np.arange(BLOCK + 1)) * tick_s
    edges.setflags(write=False)
    return edges


@functools.lru_cache(maxsize=4096)
def course(channel: Ticked, seed: int, ue: int, number: int) -> np.ndarray:
    """A block of rates, remembered.

    Raises:
        BadField: the block lies beyond the last tick that the channel knows.
    """
    most = channel.most_ticks()
    if (number + 1) * BLOCK > most:
        time_s = number * BLOCK * channel.tick_s
        allowed = f"virtual time has come to {time_s:g} s, and this channel knows {most:,} ticks; take longer ones"
        raise BadField("tick_s", channel.tick_s, allowed)
    rates = channel.block(seed, ue, number)
    rates.setflags(write=False)
    return rates


@functools.lru_cache(maxsize=4096)
def _before_each_block(channel: Walked, seed: int, ue: int) -> "array[float]":
    """Where a link stood before each block that it has come to; grows as it goes on."""
    return array("d", [channel.start(seed, ue)])
