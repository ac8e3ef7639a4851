"""Common parts of channels whose rate changes at regular ticks."""

import functools
import itertools
import math
from abc import abstractmethod
from array import array
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import BadField, require
from fl_simu.radio.channels.base import NEGLIGIBLE, Channel, Piece

BLOCK = 256
# Number of ticks that are first searched for a first arrival.
FIRST_TICKS = 8
MAX_BLOCKS = 1024
SHORTEST_TICK_S, LONGEST_TICK_S = 1e-4, 1e9
# Number of ticks whose ends float64 can distinguish, and number that a link is simulated for, in about half a
# second.
MOST_TICKS = 2**50
MOST_WALKED_TICKS = 10_000_000
# Number of cached blocks, at most 80 MB, enough for 30,000 UEs that send in turn.
MOST_BLOCKS = 2**15
# Number of links with stored states, one per 256 blocks: at most 230 MB, after 10,000,000 ticks of each link.
MOST_WALKS, MARKED = 2**17, 256


@dataclass(frozen=True)
class Ticked(Channel):
    """A rate that is constant for one tick and then changes; ticks are counted from virtual time 0.

    The rate of a UE is drawn in blocks of 256 ticks, each with its own generator, so that it does not depend on
    when and in which order it is requested. Data that a link has not carried after 262,144 ticks never arrive.

    Args:
        tick_s: length of a tick in s, 0.0001 to 1e9.
    """

    tick_s: float = 1.0

    def __post_init__(self) -> None:
        require(SHORTEST_TICK_S <= self.tick_s <= LONGEST_TICK_S, "tick_s", self.tick_s, "0.0001 to 1e9")

    @abstractmethod
    def block(self, seed: int, ue: int, number: int) -> np.ndarray:
        """Rates in Mbit/s of ticks 256 `number` to 256 `number` + 255, float64 of shape (256,)."""

    def blocks(self, seed: int, ues: Sequence[int], number: int) -> np.ndarray:
        """The same block of several UEs, each equal to `block`, bit for bit; shape (UEs, 256).

        A channel may override it for speed.
        """
        return np.stack([course(self, seed, ue, number) for ue in ues])

    def most_ticks(self) -> int:
        """Number of ticks from virtual time 0 on that the channel can simulate."""
        return MOST_TICKS

    def require_known(self, number: int) -> None:
        """Raise BadField if a block lies beyond the last tick that the channel can simulate."""
        most = self.most_ticks()
        if (number + 1) * BLOCK > most:
            time_s = number * BLOCK * self.tick_s
            allowed = (
                f"virtual time has come to {time_s:g} s, and this channel knows {most:,} ticks; take longer ones"
            )
            raise BadField("tick_s", self.tick_s, allowed)

    def in_round(self, round: int) -> "Ticked":
        """The channel as seen by uploads of one round; by default the same for all rounds."""
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
        """As `Channel.arrivals_s`, one block at a time, since ticks of 1 ms make many pieces.

        Data that a link has not carried after 262,144 ticks never arrive.
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

    def rates_of(self, seed: int, ues: Sequence[int], rounds: Sequence[int], now_s: float) -> np.ndarray:
        number, row = divmod(self._tick_at(now_s), BLOCK)
        return side_by_side(self, seed, number).of(ues, rounds, row, row + 1)[0]

    def carried_of(
        self, seed: int, ues: Sequence[int], rounds: Sequence[int], start_s: float, end_s: float
    ) -> np.ndarray:
        """As `Channel.carried_of`, for links that tick at the same times. Each sum is added tick by tick, in
        order, so that it equals that of `carried_mbit`, bit for bit.
        """
        carried = np.zeros(len(ues))
        if end_s <= start_s:
            return carried
        first, now_s = self._tick_at(start_s), start_s
        for number in itertools.count(first // BLOCK):
            low = max(first - number * BLOCK, 0)
            edges = _edges_s(self.tick_s, number)
            high = min(int(edges.searchsorted(end_s)), BLOCK)
            if high <= low:
                return carried
            moments = edges[low : high + 1].copy()
            moments[0], moments[-1] = now_s, min(moments[-1], end_s)
            sent = side_by_side(self, seed, number).of(ues, rounds, low, high)
            sent *= (moments[1:] - moments[:-1])[:, None]
            sent[0] += carried
            carried, now_s = np.add.accumulate(sent)[-1], float(moments[-1])
            if now_s >= end_s:
                return carried
        raise AssertionError("blocks never end")

    def first_arrival(
        self, seed: int, ues: Sequence[int], rounds: Sequence[int], start_s: float, loads_mbit: Sequence[float]
    ) -> Tuple[float, int]:
        """As `Channel.first_arrival`, for all links together, a few ticks at a time, with the sums of
        `arrivals_s`.

        If one link arrives at the end of a tick and another within a rounding error after it, the former counts.
        """
        loads = np.asarray(loads_mbit)
        enough, before = loads * (1 - NEGLIGIBLE), np.zeros(len(ues))
        first = math.floor(start_s / self.tick_s) // BLOCK
        for number in range(first, first + MAX_BLOCKS):
            edges = _edges_s(self.tick_s, number)
            low = max(int(edges.searchsorted(start_s, "right")) - 1, 0)
            rates, within, ticks = side_by_side(self, seed, number), np.zeros(len(ues)), FIRST_TICKS
            while low < BLOCK:
                high = min(low + ticks, BLOCK)
                whole = rates.of(ues, rounds, low, high)
                moments = edges[low : high + 1].copy()
                moments[0] = max(moments[0], start_s)
                sent = whole * (moments[1:] - moments[:-1])[:, None]
                sent[0] += within
                sums = np.add.accumulate(sent)
                done = (sums + before if number > first else sums) >= enough
                row, place = divmod(int(done.argmax()), len(ues))
                if done[row, place]:
                    there = done[row].nonzero()[0]
                    left = loads[there] - ((sums[row - 1] if row else within)[there] + before[there])
                    times = np.minimum(moments[row] + left / whole[row, there], moments[row + 1])
                    place = int(times.argmin())
                    return float(times[place]), int(there[place])
                low, within, ticks = high, sums[-1], 2 * ticks
            before = within + before
        return math.inf, 0

    def _tick_at(self, now_s: float) -> int:
        """The first tick that ends after a given time; `pieces` starts with it."""
        tick = math.floor(now_s / self.tick_s)
        while (tick + 1) * self.tick_s <= now_s:
            tick += 1
        return tick


@dataclass(frozen=True)
class Walked(Ticked):
    """A rate whose ticks depend on one another: each block of ticks starts where the previous one ended.

    A link is simulated tick by tick, once, so a run whose virtual time exceeds 10,000,000 ticks ends with a
    message. If the draws of a block of `markov` determine its last state, whatever came before, the simulation
    continues from there.

    Note:
        States of a link are stored, see `Stood`, and blocks can be drawn again: a block costs only the blocks
        between it and the nearest stored state.
    """

    @abstractmethod
    def start(self, seed: int, ue: int) -> float:
        """The state of a link before its first block."""

    @abstractmethod
    def onward(self, seed: int, ue: int, number: int, state: float) -> Tuple[np.ndarray, float]:
        """Rates of a block as for `block`, and the state of the link after it, given the state before."""

    def ends(self, seed: int, ue: int, number: int) -> Optional[float]:
        """The state of a link after a block if it does not depend on the state before; otherwise None."""
        return None

    def most_ticks(self) -> int:
        return MOST_WALKED_TICKS

    def block(self, seed: int, ue: int, number: int) -> np.ndarray:
        stood = _stood(self, seed, ue)
        first, state = stood.before(number)
        for earlier in range(number - 1, first - 1, -1):
            end = self.ends(seed, ue, earlier)
            if end is not None:
                first, state = earlier + 1, end
                break
        for now in range(first, number + 1):
            rates, state = self.onward(seed, ue, now, state)
            stood.add(now + 1, state)
        return rates


class Stood:
    """Stored states of a link: before every 256th block since time 0, and before the last block that it reached.

    Args:
        start: state before its first block.
    """

    __slots__ = ("last", "marks")

    def __init__(self, start: float) -> None:
        self.marks = array("d", [start])
        self.last = 0, start

    def before(self, number: int) -> Tuple[int, float]:
        """The nearest block up to block `number` with a stored state, and this state."""
        mark = min(number // MARKED, len(self.marks) - 1)
        if mark * MARKED <= self.last[0] <= number:
            return self.last
        return mark * MARKED, self.marks[mark]

    def add(self, number: int, state: float) -> None:
        """Store the state before a block."""
        self.last = number, state
        if number == len(self.marks) * MARKED:
            self.marks.append(state)


def _crossing(edges: np.ndarray, total: np.ndarray, rates: np.ndarray, wanted: float, start_s: float) -> float:
    """The time at which the carried total, linear between the edges, reaches `wanted`."""
    place = int(total.searchsorted(wanted * (1 - NEGLIGIBLE)))
    if place == 0:
        return max(float(edges[0]), start_s)
    return min(float(edges[place - 1] + (wanted - total[place - 1]) / rates[place - 1]), float(edges[place]))


@functools.lru_cache(maxsize=4096)
def _edges_s(tick_s: float, number: int) -> np.ndarray:
    """The starts of the ticks of a block and the end of the last one, in s; shape (257,)."""
    edges = (number * BLOCK + np.arange(BLOCK + 1)) * tick_s
    edges.setflags(write=False)
    return edges


@functools.lru_cache(maxsize=MOST_BLOCKS)
def course(channel: Ticked, seed: int, ue: int, number: int) -> np.ndarray:
    """A block of rates, cached.

    Raises:
        BadField: the block lies beyond the last tick that the channel can simulate.
    """
    channel.require_known(number)
    rates = channel.block(seed, ue, number)
    rates.setflags(write=False)
    return rates


class SideBySide:
    """A block of rates of many UEs, ordered by tick so that they can be summed together; UEs are added on demand.

    Args:
        channel, seed, number: as for `course`.
    """

    def __init__(self, channel: Ticked, seed: int, number: int) -> None:
        self.block = channel, seed, number
        # If the rates depend on the round, a column belongs to a UE and a round, otherwise to a UE.
        self._same = channel.in_round(0) is channel
        self._columns: Dict[Any, int] = {}
        self._rates = np.empty((BLOCK, 16))
        self._last: Tuple[Any, Any, np.ndarray] = (None, None, np.empty(0, np.intp))

    def of(self, ues: Sequence[int], rounds: Sequence[int], low: int, high: int) -> np.ndarray:
        """The rates in Mbit/s of some UEs, each in its round, in some ticks of the block; shape (ticks, UEs)."""
        places = self._places(tuple(ues), tuple(rounds))
        return self._rates[low:high].take(places, axis=1)

    def _places(self, ues: Tuple[int, ...], rounds: Tuple[int, ...]) -> np.ndarray:
        if self._last[0] is not ues or self._last[1] is not rounds:
            columns = self._columns
            links: Sequence[Any] = ues if self._same else list(zip(ues, rounds))
            try:
                places = [columns[link] for link in links]
            except KeyError:
                self._add([link for link in links if link not in columns])
                places = [columns[link] for link in links]
            self._last = ues, rounds, np.array(places, np.intp)
        return self._last[2]

    def _add(self, links: Sequence[Any]) -> None:
        channel, seed, number = self.block
        by_round: Dict[int, Dict[Any, int]] = {}
        for link in links:
            ue, round = (link, 0) if self._same else link
            by_round.setdefault(round, {})[link] = ue
        for round, ues in by_round.items():
            found = channel.in_round(round)
            found.require_known(number)
            begin, end = len(self._columns), len(self._columns) + len(ues)
            if end > self._rates.shape[1]:
                more = np.empty((BLOCK, max(end, 2 * begin)))
                more[:, :begin] = self._rates[:, :begin]
                self._rates = more
            self._rates[:, begin:end] = found.blocks(seed, list(ues.values()), number).T
            self._columns.update(zip(ues, range(begin, end)))


@functools.lru_cache(maxsize=4)
def side_by_side(channel: Ticked, seed: int, number: int) -> SideBySide:
    """A block of rates of many UEs, cached, since UEs that send at the same time use the same block."""
    return SideBySide(channel, seed, number)


@functools.lru_cache(maxsize=MOST_WALKS)
def _stood(channel: Walked, seed: int, ue: int) -> Stood:
    return Stood(channel.start(seed, ue))
