"""The formats of recorded links: one reader and one row each.

A format is recognised by the contents of a file: by the names in its header (`LOGS`), or by the number of columns
(`NUMBERS`).
"""

import collections
import csv
import datetime
import io
from array import array
from typing import Callable, Counter, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from fl_simu.kernel.errors import UserError, shown
from fl_simu.radio.channels.base import LEAST_MBPS

WANTED = "wanted are lines of one number (ms) or of two (s, Mbit/s), or a log of a known format"
MOST_MBPS = 1e4
LONGEST_S = 1e9
LATEST_MS = 1e11
# In s since 1970; anything later than 1973 is a date, not a duration.
FIRST_DATE_S = 1e8
# How far a clock may be set back, in s.
SET_RIGHT_S = 60
MISSING = ("", "-", "na", "n/a", "nan", "null", "none", "\\n")


class Course(NamedTuple):
    """A recording that repeats.

    Fields:
        times_s: for packets, the time of each opportunity to send 1500 bytes; for rates, the start of each rate.
        rates_mbps: the rate from each time to the next; empty for recordings of packets.
        length_s: after this time the recording starts again.
    """

    times_s: np.ndarray
    rates_mbps: np.ndarray
    length_s: float


class Recorded(NamedTuple):
    """The contents of a file: its recordings, and the number of lines left out, by reason."""

    courses: Tuple[Course, ...]
    left_out: Counter[str]


class Table(NamedTuple):
    """Lines of numbers.

    Fields:
        lines: the line number of each row.
        values: shape (rows, columns).
    """

    lines: Sequence[int]
    values: np.ndarray


class Log(NamedTuple):
    """Lines below a header.

    Fields:
        lines: the line number of each row.
        columns: each column that the format needs, by its name in lower case.
        decimal: the decimal point or comma.
    """

    lines: List[int]
    columns: Dict[str, List[str]]
    decimal: str

    def numbers(self, name: str) -> np.ndarray:
        """A column of numbers of 0 or more, with NaN for missing ones."""
        found = np.empty(len(self.lines))
        for row, text in enumerate(self.columns[name]):
            try:
                missing = text.strip().lower() in MISSING
                found[row] = np.nan if missing else float(text.replace(self.decimal, "."))
            except ValueError:
                raise UserError(f"line {self.lines[row]} has {shown(text)} for {name}: no number") from None
        given = np.where(np.isnan(found), 0.0, found)
        _require_finite(self.lines, given, name)
        return found

    def rates(self, name: str, unit_mbps: float) -> np.ndarray:
        """A column of rates in another unit, converted to Mbit/s."""
        found = self.numbers(name) * unit_mbps
        _require_rates(self.lines, np.where(np.isnan(found), 0.0, found))
        return found

    def seconds(self, name: str, form: str) -> np.ndarray:
        """A column of local times, in s since 1970."""
        found = np.empty(len(self.lines))
        for row, text in enumerate(self.columns[name]):
            try:
                moment = datetime.datetime.strptime(text.strip(), form) - datetime.datetime(1970, 1, 1)
                found[row] = moment.total_seconds()
            except ValueError:
                raise UserError(f"line {self.lines[row]} has {shown(text)} for {name}: {form} is wanted") from None
        return found


class Format(NamedTuple):
    """How to read files of one origin.

    Fields:
        name: a phrase for such a file.
        read: makes recordings of a `Table`, or of a `Log` and a direction.
        directions: the directions that such a file may have; if both, the file does not state which.
        both: whether a file contains both directions, so that one must be chosen.
    """

    name: str
    read: Callable[..., Recorded]
    directions: Tuple[str, ...] = ("up", "down")
    both: bool = False

    def wanted(self, direction: str) -> str:
        """A phrase for the allowed directions; empty if this one is allowed."""
        if direction == "any":
            return "up or down, as it holds both" if self.both else ""
        return "" if direction in self.directions else f"it has only {' and '.join(self.directions)}"


class NoRecording(UserError):
    """A file of another kind: most of its lines contain no numbers."""


def packets(table: Table) -> Recorded:
    """Mahimahi: the time in ms of each opportunity to send 1500 bytes."""
    times_ms = table.values[:, 0]
    _require_times(table.lines, times_ms)
    _require(times_ms <= LATEST_MS, table.lines, times_ms, "times are ms since the beginning of the recording")
    if times_ms[-1] < 1:
        raise UserError("a recording lasts longer than 0 ms, 1 ms at least")
    # mm-link starts again at the time of the last packet.
    course = Course(times_ms / 1000, np.empty(0), float(times_ms[-1]) / 1000)
    return Recorded((course,), collections.Counter())


def rates(table: Table) -> Recorded:
    """Two columns, as in Pensieve: the second from which a rate applies, and the rate in Mbit/s."""
    times, mbps = table.values.T
    _require_times(table.lines, times)
    _require_finite(table.lines, mbps, "a rate")
    problem = f"are rates in Mbit/s? At most {MOST_MBPS:,.0f} are taken"
    _require(mbps <= MOST_MBPS, table.lines, mbps, problem)
    times = times - times[0]
    steps = np.diff(times)[np.diff(times) > 0]
    if not len(steps):
        raise UserError("a recording lasts longer than 0 s: it needs two times that differ")
    if len(times) * 0.001 > times[-1] + steps[-1]:
        raise UserError("are its times in s? Its steps are shorter than a millisecond")
    if 950 < np.median(steps) < 1050:
        raise UserError("are its times in s? Its steps of about 1000 look like milliseconds")
    if times[-1] > LONGEST_S:
        raise UserError(f"it lasts longer than {LONGEST_S:g} s; are its times in s?")
    # The last rate applies for as long as the one before it.
    return _usable([Course(times, mbps, float(times[-1] + steps[-1]))], collections.Counter())


def intervals(table: Table) -> Recorded:
    """Ghent 4G and HSDPA Norway: epoch, ms, latitude, longitude, bytes since the last line, ms since then.

    The bytes of a line were received in the ms of the same line, and these intervals follow one another.
    """
    epochs, sizes, lengths_ms = table.values[:, 0], table.values[:, 4], table.values[:, 5]
    _require_times(table.lines, epochs)
    if epochs[0] < FIRST_DATE_S:
        problem = f"line {table.lines[0]} has six numbers, the first of which is no time since 1970"
        raise NoRecording(f"{problem}; {WANTED}")
    _require_finite(table.lines, sizes, "a number of bytes")
    _require_finite(table.lines, lengths_ms, "a number of ms")
    _require_lengths(table.lines, lengths_ms / 1000)
    kept = lengths_ms > 0
    left_out = collections.Counter({"lines of 0 ms": int(np.sum(~kept))})
    with np.errstate(over="ignore"):  # overflowing rates are refused below
        mbps = 8 * sizes[kept] / (1000 * lengths_ms[kept])
    _require_rates(_chosen(table.lines, kept), mbps)
    return _usable(_in_a_row(lengths_ms[kept] / 1000, mbps), left_out)


def irish(log: Log, direction: str) -> Recorded:
    """Logs of G-NetTrack, as in the Irish 4G and 5G data: a line per second, rates of both links in kbit/s."""
    left_out: Counter[str] = collections.Counter()
    mbps = log.rates("ul_bitrate" if direction == "up" else "dl_bitrate", 1e-3)
    times = log.seconds("timestamp", "%Y.%m.%d_%H.%M.%S")
    return _usable(_each_second(log.lines, times, mbps, left_out), left_out)


def lumos(log: Log, direction: str) -> Recorded:
    """Lumos5G: one line per second, rates in Mbit/s; each run is a recording."""
    left_out: Counter[str] = collections.Counter()
    mbps, times = log.rates("throughput", 1.0), log.numbers("seq_num")
    _require(np.isfinite(times), log.lines, times, "seq_num is missing")
    runs = log.columns["run_num"]
    # A run number may occur again, for another run.
    begins = [row for row in range(1, len(runs)) if runs[row] != runs[row - 1] or times[row] < times[row - 1]]
    courses: List[Course] = []
    for begin, end in zip([0, *begins], [*begins, len(runs)]):
        courses += _each_second(log.lines[begin:end], times[begin:end], mbps[begin:end], left_out)
    return _usable(courses, left_out)


def fcc(log: Log, direction: str) -> Recorded:
    """Tests of Measuring Broadband America: bytes in one second, and the duration in microseconds.

    The tests of a unit, a household, follow one another; each unit is a recording. The last line of a test counts,
    since its numbers are those since the beginning of the test.
    """
    lengths_s, mbps = log.numbers("fetch_time") / 1e6, log.rates("bytes_sec", 8e-6)
    _require_lengths(log.lines, np.nan_to_num(lengths_s))
    units: Dict[str, Dict[Tuple[str, str], int]] = {}
    tests = zip(log.columns["unit_id"], log.columns["dtime"], log.columns["target"])
    failed = ~(np.nan_to_num(lengths_s * mbps) > 0)
    for row, (unit, moment, target) in enumerate(tests):
        if not failed[row]:
            units.setdefault(unit, {})[moment, target] = row
    last = [list(rows.values()) for rows in units.values()]
    interim = int(np.sum(~failed)) - sum(map(len, last))
    left_out = collections.Counter(
        {"tests without bytes": int(np.sum(failed)), "lines of tests that go on": interim}
    )
    courses = [course for rows in last for course in _in_a_row(lengths_s[rows], mbps[rows])]
    return _usable(courses, left_out)


NUMBERS: Dict[int, Format] = {
    1: Format("a Mahimahi file", packets),
    2: Format("a file of two columns", rates),
    6: Format("a log of Ghent 4G or HSDPA Norway", intervals, ("down",)),
}
# By the names in a header, which may have others too; the first row that fits is used.
LOGS: Dict[Tuple[str, ...], Format] = {
    ("timestamp", "dl_bitrate", "ul_bitrate"): Format("an Irish 4G or 5G log", irish, both=True),
    ("run_num", "seq_num", "throughput"): Format("a Lumos5G log", lumos, ("down",)),
    # curr_httppostmt.csv and curr_httpgetmt.csv have the same header.
    ("unit_id", "dtime", "target", "fetch_time", "bytes_sec", "warmup_time"): Format(
        "a file of FCC HTTP tests", fcc
    ),
    ("unit_id", "dtime", "target", "fetch_time", "bytes_sec"): Format("FCC web tests", fcc, ("down",)),
}


def recognised(text: str) -> Tuple[Format, Union[Table, Log]]:
    """The format of a text, and its contents.

    Raises:
        NoRecording: most lines fit no format.
        UserError: a line is invalid.
    """
    header = next((line.strip() for line in io.StringIO(text, newline=None) if line.strip()), "")
    separator = next((mark for mark in ";,\t" if mark in header), ",")
    names = [name.strip(' "').lower() for name in header.split(separator)]
    for needed, form in LOGS.items():
        if set(needed) <= set(names):
            return form, _log(text, separator, {name: names.index(name) for name in needed})
    table = _table(text)
    return NUMBERS[table.values.shape[1]], table


def _log(text: str, separator: str, places: Dict[str, int]) -> Log:
    log = Log([], {name: [] for name in places}, "," if separator == ";" else ".")
    reader = csv.reader(io.StringIO(text, newline=None), delimiter=separator, skipinitialspace=True)
    width = 0
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if not width:
                width = len(row)
                continue
            if len(row) != width:
                raise UserError(f"line {reader.line_num} has {len(row)} columns, and the header has {width}")
            log.lines.append(reader.line_num)
            for name, place in places.items():
                log.columns[name].append(row[place])
    except csv.Error as error:
        raise UserError(f"line {reader.line_num} cannot be read: {error}") from None
    if not log.lines:
        raise UserError("there is nothing below its header")
    return log


def _table(text: str) -> Table:
    lines, values, columns = array("l"), array("d"), 0
    strange: List[Tuple[int, str]] = []
    for place, (number, line) in enumerate(_lines(text)):
        fields = _fields(line)
        row = _floats(fields)
        if row and len(row) in ((columns,) if columns else NUMBERS):
            lines.append(number)
            values.extend(row)
            columns = len(row)
        elif place or any(_floats([field]) for field in fields):
            # A first line without any number is a header.
            strange.append((number, line))
    problem = f"line {strange[0][0]} is {shown(strange[0][1])}" if strange else "no line holds numbers"
    if len(lines) < len(strange) or not lines:
        raise NoRecording(f"{problem}; {WANTED}")
    if strange:
        raise UserError(f"{problem}; {WANTED}")
    return Table(lines, np.array(values).reshape(-1, columns))


def _lines(text: str) -> Iterator[Tuple[int, str]]:
    """Lines with more than a comment, with their numbers."""
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        content = line.split("#", 1)[0].split("%", 1)[0].strip()
        if content:
            yield number, content


def _fields(line: str) -> List[str]:
    if ";" in line:
        return line.replace(",", ".").split(";")
    return line.split(",") if "," in line else line.split()


def _floats(fields: Sequence[str]) -> Optional[List[float]]:
    try:
        return [float(field) for field in fields]
    except ValueError:
        return None


def _each_second(
    lines: Sequence[int], times: np.ndarray, mbps: np.ndarray, left_out: Counter[str]
) -> List[Course]:
    """Rates measured about once a second: each applies until the next one, the last for 1 s."""
    given = ~np.isnan(mbps)
    left_out["lines without a rate"] += int(np.sum(~given))
    lines, times, mbps = _chosen(lines, given), times[given], mbps[given]
    if not len(times):
        return []
    fallen = np.maximum.accumulate(times) - times
    problem = f"it is {np.max(fallen):,.0f} s before a line above it"
    _require(fallen <= SET_RIGHT_S, lines, times, problem)
    times, mbps = times[fallen == 0], mbps[fallen == 0]
    # Of several lines with the same second the last one counts.
    last = np.append(np.diff(times) > 0, True)
    left_out["lines of a repeated second"] += int(np.sum(fallen > 0) + np.sum(~last))
    times = times[last] - times[0]
    return [Course(times, mbps[last], float(times[-1]) + 1)]


def _in_a_row(lengths_s: np.ndarray, mbps: np.ndarray) -> List[Course]:
    """The recording of rates with these durations; none if there are no rates."""
    ends = np.cumsum(lengths_s)
    return [Course(np.append(0.0, ends[:-1]), mbps, float(ends[-1]))] if len(ends) else []


def _usable(courses: Sequence[Course], left_out: Counter[str]) -> Recorded:
    """The recordings that carry something; if there are several, the others count as left out."""
    for course in courses:
        if course.length_s > LONGEST_S:
            raise UserError(f"it lasts longer than {LONGEST_S:g} s")
        if len(course.times_s) * 0.001 > course.length_s:
            raise UserError("its rates hold for less than a millisecond in the mean")
    kept = [course for course in courses if _carries(course)]
    if not kept:
        raise UserError(f"its rates are 0, or below {LEAST_MBPS:g} Mbit/s in the mean")
    left_out["recordings without any rate above 0"] += len(courses) - len(kept)
    return Recorded(tuple(kept), left_out)


def _carries(course: Course) -> bool:
    lengths_s = np.diff(np.append(course.times_s, course.length_s))
    return bool(course.rates_mbps @ lengths_s >= LEAST_MBPS * course.length_s)


def _chosen(lines: Sequence[int], holds: np.ndarray) -> List[int]:
    return [line for line, held in zip(lines, holds) if held]


def _require(holds: np.ndarray, lines: Sequence[int], values: np.ndarray, problem: str) -> None:
    """Raise UserError with the first line that fails a check."""
    if not holds.all():
        place = int(np.argmin(holds))
        raise UserError(f"line {lines[place]} has {values[place]:.15g}: {problem}")


def _require_finite(lines: Sequence[int], values: np.ndarray, what: str) -> None:
    # NaN first, since numpy warns when it compares NaN.
    for holds in (np.isfinite, lambda finite: finite >= 0):
        _require(holds(values), lines, values, f"{what} is a finite number, 0 or more")


def _require_times(lines: Sequence[int], times: np.ndarray) -> None:
    _require_finite(lines, times, "a time")
    _require(np.append(True, np.diff(times) >= 0), lines, times, "times never fall")


def _require_rates(lines: Sequence[int], mbps: np.ndarray) -> None:
    _require(mbps <= MOST_MBPS, lines, mbps, f"a rate is {MOST_MBPS:,.0f} Mbit/s at most")


def _require_lengths(lines: Sequence[int], lengths_s: np.ndarray) -> None:
    _require(lengths_s <= LONGEST_S, lines, lengths_s, f"a measurement lasts {LONGEST_S:g} s at most")
