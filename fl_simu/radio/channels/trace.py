"""Recorded links: Mahimahi files, files with two columns (seconds, Mbit/s), and measurement logs."""

import functools
import math
import os
from dataclasses import dataclass
from typing import Iterator, List, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.randomness import briefly, permutation, stream
from fl_simu.radio.channels.base import NEGLIGIBLE, Channel, Piece
from fl_simu.radio.channels.formats import Course
from fl_simu.radio.channels.recordings import read, recordings

PACKET_MBIT = 1500 * 8 / 1e6
# If an upload would take more rates of its recording than this, it is not computed piece by piece.
MANY_PIECES = 100_000


@dataclass(frozen=True)
class Trace(Channel):
    """Measured rates, replayed from recordings.

    The format of a file is recognised by its header or the form of its lines, not by its name. A recording that
    ends starts again from its beginning.

    Mahimahi: one integer per line, the time in ms of an opportunity to send 1500 bytes. A load arrives with the
    opportunity that carries its last byte. The rest of that packet goes to the next layer of the same upload. The
    recording ends with its last opportunity.

    Two columns, as in Pensieve: the time in s from which a rate applies, and the rate in Mbit/s. The last rate
    applies for as long as the one before it.

    Ghent 4G and HSDPA Norway (downlink): six columns, which are time since 1970, ms since the start, latitude,
    longitude, bytes since the last line and ms since the last line. The bytes of a line were received in the ms of
    the same line, and these intervals follow one another. Lines of 0 ms are left out.

    Irish 4G and 5G, logs of G-NetTrack (both directions): a CSV with `Timestamp`, and `DL_bitrate` and
    `UL_bitrate` in kbit/s. Lumos5G (downlink): a CSV with `run_num`, `seq_num` in s and `Throughput` in Mbit/s;
    each run is a recording. In both, a rate applies until the next one, and the last rate for a second. Lines
    without a rate are left out, so that the previous rate continues. Of several lines with the same second the
    last one counts. If the clock of an Irish log goes back by at most a minute, lines are left out until it has
    caught up.

    FCC, Measuring Broadband America: CSVs whose tests have `bytes_sec` for `fetch_time` microseconds. The tests of
    a `unit_id` follow one another, and each unit is a recording. `curr_webget.csv` holds downloads;
    `curr_httppostmt.csv` (uploads) and `curr_httpgetmt.csv` (downloads) have the same header. Tests without bytes
    are left out. Of several lines of one test the last one counts, since its numbers are those since the beginning
    of the test.

    One line reports how many lines were left out.

    Files are text in UTF-8 or UTF-16, optionally packed with gzip, bzip2 or xz, of at most 32 MiB. Columns are
    separated by blanks, commas or semicolons (with semicolons a comma is a decimal point). In files of numbers `#`
    and `%` begin a comment. The first line may be a header. In a folder and its subfolders, files that are not
    recordings are left out, and a line says so.

    An unrecognised line, a time that goes back, or a number that is negative, infinite or NaN is refused with its
    line. Values that suggest another unit are refused too: rates above 10,000 Mbit/s, steps shorter than a
    millisecond on average or of about 1000 s, and milliseconds beyond 1e11.

    Args:
        path: an existing file, or a folder. Its recordings are assigned to the UEs at random, each to the same
            number of UEs, give or take one.
        offset: "random": each UE starts at its own random position in its recording; "none": all UEs start at the
            beginning.
        direction: measured direction, "up", "down" or "any". An Irish log has both, so it needs "up" or "down". A
            file that cannot be of the given direction is refused. A file that does not state its direction
            (Mahimahi, two columns, the FCC's HTTP tests) is taken to be of it. "any" takes the direction that a
            file has.

    Raises:
        BadField: an unknown offset or direction, a path that does not exist, or a file without this direction.
        UserError: a file that is not a trace.

    Reference: Netravali et al. 2015 (Mahimahi), mm-link; Mao et al. 2017 (Pensieve); van der Hooft et al. 2016
        (Ghent 4G); Riiser et al. 2013 (HSDPA Norway); Raca et al. 2018, 2020 (Irish 4G, 5G); Narayanan et al. 2020
        (Lumos5G); FCC, Measuring Broadband America, raw data.
    """

    path: str
    offset: str = "random"
    direction: str = "any"

    def __post_init__(self) -> None:
        require(self.offset in ("random", "none"), "offset", self.offset, "one of random, none")
        require(self.direction in ("any", "up", "down"), "direction", self.direction, "one of any, up, down")
        require(_exists(self.path), "path", self.path, "a file or a folder that exists")
        recordings(self.path, self.direction)

    def course(self, seed: int, ue: int) -> Tuple[Course, float]:
        """A UE's recording, and the virtual time of its position at time 0."""
        found = recordings(self.path, self.direction)
        file, place = found[_dealt(seed, len(found))[ue % len(found)]]
        course = read(file, self.direction).courses[place]
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
        """As `arrivals_s`: all loops but the last two of each load are skipped, since each carries the same
        amount.
        """
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
def _dealt(seed: int, count: int) -> np.ndarray:
    """A random order in which recordings are assigned, so that recordings left over are not always the last ones
    by name.
    """
    return permutation(stream(seed, "recordings"), count)


def _exists(path: str) -> bool:
    try:
        return os.path.isfile(path) or os.path.isdir(path)
    except ValueError:
        return False


def _chances(course: Course, moment_s: float, those_at_it: bool = False) -> int:
    """Number of opportunities since the start of a recording before a time, or also at it."""
    loop, place = divmod(moment_s, course.length_s)
    place = float(np.round(place, 9))
    # The last opportunity of a loop is at the same time as the beginning of the next loop.
    if those_at_it and place >= course.length_s:
        loop, place = loop + 1, 0.0
    elif place == 0 and loop and not those_at_it:
        loop, place = loop - 1, course.length_s
    passed = np.searchsorted(course.times_s, place, side="right" if those_at_it else "left")
    return int(loop) * len(course.times_s) + int(passed)


def _rates_of_packets(course: Course) -> np.ndarray:
    """Mean rate in each second of a recording of packets, in Mbit/s; the last second may be shorter."""
    count = math.ceil(course.length_s)
    seconds = np.minimum(course.times_s.astype(int), count - 1)
    lengths_s = np.diff(np.append(np.arange(count), course.length_s))
    return np.bincount(seconds, minlength=count) * PACKET_MBIT / lengths_s
