"""Recorded links: Mahimahi files, and files of two columns, seconds and Mbit/s."""

import functools
import math
import os
from dataclasses import dataclass
from typing import Iterator, List, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.randomness import briefly, permutation, stream
from fl_simu.radio.channels.base import NEGLIGIBLE, Channel, Piece
from fl_simu.radio.channels.recordings import Course, read_recording, recordings

PACKET_MBIT = 1500 * 8 / 1e6
# An upload that takes more rates of its recording than this is not walked through piece by piece.
MANY_PIECES = 100_000


@dataclass(frozen=True)
class Trace(Channel):
    """Rates as they were measured.

    A Mahimahi file has one integer a line: the millisecond of a chance to send 1500 bytes. A load arrives with the
    chance that takes its last byte; what a packet has left over goes to the next layer of the same upload. A file
    of two columns has the second from which on a rate in Mbit/s holds. Both begin anew at their end: a Mahimahi
    file ends with its last chance, and the last rate holds as long as the one before it.

    Files are text in UTF-8 or UTF-16, also packed with gzip, bzip2 or xz, of 32 MiB at most. Columns stand apart
    by blanks, commas or semicolons (with semicolons a comma is a decimal point); `#` and `%` begin a comment; the
    first line may be a header. In a folder, also in the folders in it, what is no recording is left out, and a
    line says so. A line that is none of this, a time that falls or a number that is negative, infinite or NaN is
    refused with its line. So is what looks like another unit: rates above 10,000 Mbit/s, steps that are shorter
    than a millisecond in the mean or about 1000 s, milliseconds beyond 1e11.

    Args:
        path: a file that exists, or a folder whose recordings are dealt to the UEs at random, each to as many UEs
            as any other, give or take one.
        offset: "random": each UE starts at a place of its own in its recording; "none": all at its beginning.

    Raises:
        BadField: an offset of another name, or a path that leads nowhere.
        UserError: a file that is no trace.

    Reference: Netravali et al. 2015 (Mahimahi), mm-link.
    """

    path: str
    offset: str = "random"

    def __post_init__(self) -> None:
        require(self.offset in ("random", "none"), "offset", self.offset, "one of random, none")
        require(_exists(self.path), "path", self.path, "a file or a folder that exists")
        recordings(self.path)

    def course(self, seed: int, ue: int) -> Tuple[Course, float]:
        """A UE's recording, and the virtual time at which it stands at time 0."""
        files = recordings(self.path)
        course = read_recording(files[_dealt(seed, len(files))[ue % len(files)]])
        start = briefly(seed, "trace offset", ue).random() * course.length_s if self.offset == "random" else 0.0
        return course, start

    def pieces(self, seed: int, ue: int, round: int, start_s: float) -> Iterator[Piece]:
        course, offset_s = self.course(seed, ue)
        rates = course.rates_mbps if len(course.rates_mbps) else _rates_of_packets(course)
        edges = course.times_s if len(course.rates_mbps) else np.arange(len(rates), dtype=float)
        if len(rates) == 1:
            yield float(rates[0]), math.inf
            return
        ends = np.append(edges[1:], course.length_s)
        place = (start_s + offset_s) % course.length_s
        index = int(np.searchsorted(ends, place, side="right"))
        now = start_s
        while True:
            left = float(ends[index % len(rates)]) - place
            until_s = now + left
            if until_s > now:
                yield float(rates[index % len(rates)]), until_s
            now, index = until_s, index + 1
            place = float(edges[index % len(rates)])

    def arrivals_s(
        self, seed: int, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
    ) -> Tuple[float, ...]:
        course, offset_s = self.course(seed, ue)
        if len(course.rates_mbps):
            loop_mbit = float(course.rates_mbps @ np.diff(np.append(course.times_s, course.length_s)))
            if sum(loads_mbit) <= max(1.0, MANY_PIECES / len(course.rates_mbps)) * loop_mbit:
                return super().arrivals_s(seed, ue, round, start_s, loads_mbit)
            return self._arrivals_after_loops(seed, ue, start_s, loads_mbit, loop_mbit)
        passed = _chances(course, start_s + offset_s)
        arrivals: List[float] = []
        for count in np.ceil(np.cumsum(loads_mbit) / PACKET_MBIT * (1 - NEGLIGIBLE)):
            loops, index = divmod(passed + int(count) - 1, len(course.times_s))
            moment = loops * course.length_s + float(course.times_s[index]) - offset_s
            arrivals.append(max(moment, start_s) if count else start_s)
        return tuple(arrivals)

    def _arrivals_after_loops(
        self, seed: int, ue: int, start_s: float, loads_mbit: Sequence[float], loop_mbit: float
    ) -> Tuple[float, ...]:
        """As `arrivals_s`: all loops but the last two of each load are skipped, as each carries as much."""
        arrivals, now = [], start_s
        for load in loads_mbit:
            rest = math.fmod(load, loop_mbit)
            loops = max(0.0, round((load - rest) / loop_mbit) - 1)
            left = rest + loop_mbit if load >= loop_mbit else load
            (now,) = super().arrivals_s(seed, ue, 0, now + loops * self.course(seed, ue)[0].length_s, [left])
            arrivals.append(now)
        return tuple(arrivals)

    def carried_mbit(self, seed: int, ue: int, round: int, start_s: float, end_s: float) -> float:
        course, offset_s = self.course(seed, ue)
        if len(course.rates_mbps):
            return super().carried_mbit(seed, ue, round, start_s, end_s)
        if end_s <= start_s:
            return 0.0
        sent = _chances(course, end_s + offset_s, those_at_it=True) - _chances(course, start_s + offset_s)
        return sent * PACKET_MBIT


@functools.lru_cache(maxsize=16)
def _dealt(seed: int, files: int) -> np.ndarray:
    """The order in which recordings are dealt: at random, so that where there are more of them than UEs those that
    are left out are not the last by name."""
    return permutation(stream(seed, "recordings"), files)


def _exists(path: str) -> bool:
    try:
        return os.path.isfile(path) or os.path.isdir(path)
    except ValueError:
        return False


def _chances(course: Course, moment_s: float, those_at_it: bool = False) -> int:
    """Chances since a recording began and before a moment, or also those at it."""
    loop, place = divmod(moment_s, course.length_s)
    place = float(np.round(place, 9))
    # The last chance of a loop is at the same moment as the beginning of the next.
    if those_at_it and place >= course.length_s:
        loop, place = loop + 1, 0.0
    elif place == 0 and loop and not those_at_it:
        loop, place = loop - 1, course.length_s
    passed = np.searchsorted(course.times_s, place, side="right" if those_at_it else "left")
    return int(loop) * len(course.times_s) + int(passed)


def _rates_of_packets(course: Course) -> np.ndarray:
    """Mean rate of each second of a recording of packets, in Mbit/s; the last one may be shorter."""
    count = math.ceil(course.length_s)
    seconds = np.minimum(course.times_s.astype(int), count - 1)
    lengths_s = np.diff(np.append(np.arange(count), course.length_s))
    return np.bincount(seconds, minlength=count) * PACKET_MBIT / lengths_s
