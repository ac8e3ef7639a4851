"""Recordings of links as files: one column of milliseconds (Mahimahi), or two of seconds and Mbit/s."""

import bz2
import codecs
import functools
import gzip
import io
import lzma
import os
import zlib
from array import array
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import UserError, shown
from fl_simu.kernel.notices import tell_once
from fl_simu.radio.channels.base import LEAST_MBPS

WANTED = "wanted are lines of one number (ms) or of two (s, Mbit/s)"
OPENERS: Dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
MOST_BYTES = 2**25
MOST_FILES = 10_000
MOST_MBPS = 1e4
LONGEST_S = 1e9
LATEST_MS = 1e11


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


class NoRecording(UserError):
    """A file that is something else: most of its lines are no numbers."""


@functools.lru_cache(maxsize=64)
def recordings(path: str) -> Tuple[str, ...]:
    """A file itself, or the recordings in a folder and the folders in it, by name; all of them are read.

    What is no recording is left out, and a line says so.

    Raises:
        UserError: a recording is damaged, or there is none.
    """
    if os.path.isfile(path):
        read_recording(path)
        return (path,)
    kept, left_out = [], []
    for file in _files_in(path):
        try:
            read_recording(file)
            kept.append(file)
        except NoRecording:
            left_out.append(os.path.relpath(file, path))
    if not kept:
        raise UserError(f"{path} is no trace: there is no recording in that folder; {WANTED}")
    if left_out:
        others = f" and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        tell_once(f"{path}: left out, since they are no recordings: {', '.join(left_out[:3])}{others}")
    return tuple(kept)


def _files_in(path: str) -> List[str]:
    files: List[str] = []
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [os.path.join(folder, name) for name in names]
        if len(files) > MOST_FILES:
            raise UserError(f"{path} is no trace: the folder holds more than {MOST_FILES:,} files")
    return [file for file in sorted(files) if os.path.isfile(file)]


@functools.lru_cache(maxsize=256)
def read_recording(path: str) -> Course:
    """One recording.

    Text in UTF-8 or UTF-16, plain or packed (gzip, bzip2, xz). Columns stand apart by blanks, commas or semicolons
    (with these a comma is a decimal point); "#" and "%" begin a comment; the first line may be a header.

    Raises:
        UserError: the file holds no recording; one line that names it, and the line at fault.
    """
    try:
        numbers, table = _table(_text(path))
        return _packets(numbers, table[:, 0]) if table.shape[1] == 1 else _rates(numbers, *table.T)
    except NoRecording as error:
        raise NoRecording(f"{path} is no trace: {error}") from None
    except UserError as error:
        raise UserError(f"{path} is no trace: {error}") from None


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            head = file.read(8)
        opener = next((OPENERS[magic] for magic in OPENERS if head.startswith(magic)), open)
        with opener(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, MemoryError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MOST_BYTES:
        raise UserError(f"it holds more than {MOST_BYTES // 2**20} MiB")
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return data.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")


def _table(text: str) -> Tuple[Sequence[int], np.ndarray]:
    """The number of each line that holds a row, and the rows, shape (rows, columns)."""
    numbers, values, columns = array("l"), array("d"), 0
    strange: List[Tuple[int, str]] = []
    for place, (number, line) in enumerate(_lines(text)):
        fields = _fields(line)
        row = _floats(fields)
        if row and len(row) in (columns or 1, columns or 2):
            numbers.append(number)
            values.extend(row)
            columns = len(row)
        elif place or any(_floats([field]) for field in fields):
            # A first line without any number is a header.
            strange.append((number, line))
    problem = f"line {strange[0][0]} is {shown(strange[0][1])}" if strange else "no line holds numbers"
    if len(numbers) < len(strange) or not numbers:
        raise NoRecording(f"{problem}; {WANTED}")
    if strange:
        raise UserError(f"{problem}; {WANTED}")
    return numbers, np.array(values).reshape(-1, columns)


def _lines(text: str) -> Iterator[Tuple[int, str]]:
    """Lines that hold more than a comment, with their numbers."""
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


def _require(holds: np.ndarray, numbers: Sequence[int], values: np.ndarray, problem: str) -> None:
    """Raise UserError with the first line for which something does not hold."""
    if not holds.all():
        place = int(np.argmin(holds))
        raise UserError(f"line {numbers[place]} has {values[place]:.15g}: {problem}")


def _require_finite(numbers: Sequence[int], values: np.ndarray, what: str) -> None:
    # First of all NaN: numpy warns of its comparisons.
    for holds in (np.isfinite, lambda finite: finite >= 0):
        _require(holds(values), numbers, values, f"{what} is a finite number, 0 or more")


def _require_times(numbers: Sequence[int], times: np.ndarray) -> None:
    _require_finite(numbers, times, "a time")
    _require(np.append(True, np.diff(times) >= 0), numbers, times, "times never fall")


def _packets(numbers: Sequence[int], times_ms: np.ndarray) -> Course:
    _require_times(numbers, times_ms)
    _require(times_ms <= LATEST_MS, numbers, times_ms, "times are ms since the beginning of the recording")
    if times_ms[-1] < 1:
        raise UserError("a recording lasts longer than 0 ms, 1 ms at least")
    # mm-link begins anew at the time of the last packet.
    return Course(times_ms / 1000, np.empty(0), float(times_ms[-1]) / 1000)


def _rates(numbers: Sequence[int], times: np.ndarray, rates: np.ndarray) -> Course:
    _require_times(numbers, times)
    _require_finite(numbers, rates, "a rate")
    _require(rates <= MOST_MBPS, numbers, rates, f"are rates in Mbit/s? At most {MOST_MBPS:,.0f} are taken")
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
    # The last rate holds as long as the one before it.
    length_s = float(times[-1] + steps[-1])
    if rates @ np.diff(np.append(times, length_s)) < LEAST_MBPS * length_s:
        raise UserError(f"its rates are 0, or below {LEAST_MBPS:g} Mbit/s in the mean")
    return Course(times, rates, length_s)
