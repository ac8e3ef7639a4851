"""Recorded links: Mahimahi files, and files of two columns, seconds and Mbit/s."""

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import UserError, require
from fl_simu.kernel.randomness import briefly
from fl_simu.uplink.channels.base import Channel, Piece

PACKET_MBIT = 1500 * 8 / 1e6


class Course(NamedTuple):
    """A recording that repeats.

    Fields:
        times_s: for packets, the moment of each chance to send 1500 bytes; for rates, when each rate begins.
        rates_mbps: the rate from each moment to the next; empty where the recording is of packets.
        length_s: after this time the recording begins anew.
    """

    times_s: np.ndarray
    rates_mbps: np.ndarray
    length_s: float


@dataclass(frozen=True)
class Trace(Channel):
    """Rates as they were measured.

    A Mahimahi file has one integer a line: the millisecond of a chance to send 1500 bytes. A load arrives with the
    chance that takes its last byte; what a packet has left over goes to the next layer of the same upload. A file
    of two columns has the second from which on a rate in Mbit/s holds. Both begin anew at their end.

    Args:
        path: a file, or a folder whose files are dealt to the UEs in the order of their names.
        offset: "random": each UE starts at a place of its own in its recording; "none": all at its beginning.

    Raises:
        BadField: an offset of another name. A file that is missing or no trace is a UserError when first read.

    Reference: Netravali et al. 2015 (Mahimahi), mm-link.
    """

    path: str
    offset: str = "random"

    def __post_init__(self) -> None:
        require(self.offset in ("random", "none"), "offset", self.offset, "one of random, none")
        require(Path(self.path).exists(), "path", self.path, "a file or a folder that exists")
        for file in trace_files(self.path):
            read_trace(file)

    def course(self, seed: int, ue: int) -> Tuple[Course, float]:
        """A UE's recording, and the virtual time at which it stands at time 0."""
        files = trace_files(self.path)
        course = read_trace(files[ue % len(files)])
        start = briefly(seed, "trace offset", ue).random() * course.length_s if self.offset == "random" else 0.0
        return course, start

    def pieces(self, seed: int, ue: int, round: int, start_s: float) -> Iterator[Piece]:
        course, offset_s = self.course(seed, ue)
        rates = course.rates_mbps if len(course.rates_mbps) else _rates_of_packets(course)
        edges = course.times_s if len(course.rates_mbps) else np.arange(len(rates), dtype=float)
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
            return super().arrivals_s(seed, ue, round, start_s, loads_mbit)
        packets = np.ceil(np.round(np.cumsum(loads_mbit) / PACKET_MBIT, 9)).astype(int)
        loop, place = divmod(start_s + offset_s, course.length_s)
        place = float(np.round(place, 9))
        if place == 0 and loop:
            # The last chance of a loop is at the same moment as the beginning of the next.
            loop, place = loop - 1, course.length_s
        # Chances in this loop that have passed by the start; one at the very start still counts.
        passed = int(np.searchsorted(course.times_s, place, side="left"))
        arrivals: List[float] = []
        for count in packets:
            loops, index = divmod(passed + int(count) - 1, len(course.times_s))
            moment = (loop + loops) * course.length_s + float(course.times_s[index]) - offset_s
            arrivals.append(max(moment, start_s) if count else start_s)
        return tuple(arrivals)


def _rates_of_packets(course: Course) -> np.ndarray:
    """Mean rate of each second of a recording of packets, in Mbit/s."""
    seconds = np.minimum(course.times_s.astype(int), math.ceil(course.length_s) - 1)
    return np.bincount(seconds, minlength=math.ceil(course.length_s)) * PACKET_MBIT


@functools.lru_cache(maxsize=64)
def trace_files(path: str) -> Tuple[str, ...]:
    """The files of a trace: itself, or those of a folder by name."""
    place = Path(path)
    files = sorted(str(file) for file in place.iterdir() if file.is_file()) if place.is_dir() else [path]
    if not files:
        raise UserError(f"path = {path!r} is not allowed: the folder is empty")
    return tuple(files)


@functools.lru_cache(maxsize=256)
def read_trace(path: str) -> Course:
    """One recording.

    Raises:
        UserError: the file holds no recording; one line that names it.
    """
    try:
        table = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is no trace: {' '.join(str(error).split())}") from None
    times = table[:, 0] if table.size else np.empty(0)
    if table.shape[1:] not in ((1,), (2,)) or len(times) < 2 or np.any(np.diff(times) < 0) or np.any(table < 0):
        raise UserError(f"{path} is no trace: it needs one column (ms) or two (s, Mbit/s), times that never fall")
    if table.shape[1] == 1:
        # mm-link begins anew at the time of the last packet.
        return Course(times / 1000, np.empty(0), float(times[-1]) / 1000)
    if not table[:, 1].any():
        raise UserError(f"{path} is no trace: every rate is 0")
    # The last rate holds as long as the one before it.
    times = times - times[0]
    return Course(times, table[:, 1], float(times[-1] + (times[-1] - times[-2])))
