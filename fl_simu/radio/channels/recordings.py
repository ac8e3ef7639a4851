"""Recordings of links in files and folders: how to find, unpack and read them."""

import bz2
import codecs
import collections
import functools
import gzip
import lzma
import os
import zlib
from typing import Any, Callable, Counter, Dict, List, Tuple

from fl_simu.kernel.errors import BadField, UserError
from fl_simu.kernel.notices import tell_once
from fl_simu.radio.channels.formats import WANTED, NoRecording, Recorded, Table, recognised

OPENERS: Dict[bytes, Callable[..., Any]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
MOST_BYTES = 2**25
MOST_FILES = 10_000


@functools.lru_cache(maxsize=64)
def recordings(path: str, direction: str = "any") -> Tuple[Tuple[str, int], ...]:
    """The recordings in a file, or in the files of a folder and its subfolders, by name; all of them are read.

    Each is a file and the position of the recording in it. Files that are not recordings, and lines of a log
    without data, are left out; a line reports this.

    Raises:
        UserError: a recording is damaged, or there is none.
        BadField: a file does not have this direction.
    """
    kept: List[Tuple[str, int]] = []
    strange: List[str] = []
    lines: Counter[str] = collections.Counter()
    alone = os.path.isfile(path)
    for file in [path] if alone else _files_in(path):
        try:
            found = read(file, direction)
        except NoRecording:
            if alone:
                raise
            strange.append(os.path.relpath(file, path))
            continue
        kept += [(file, place) for place in range(len(found.courses))]
        lines.update(found.left_out)
    if not kept:
        raise UserError(f"{path} is no trace: there is no recording in that folder; {WANTED}")
    if strange:
        others = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        tell_once(f"{path}: left out, since they are no recordings: {', '.join(strange[:3])}{others}")
    told = [f"{what} ({count:,})" for what, count in lines.items() if count]
    if told:
        tell_once(f"{path}: left out: {', '.join(told)}")
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
def read(path: str, direction: str = "any") -> Recorded:
    """The recordings in one file.

    Text in UTF-8 or UTF-16, plain or packed (gzip, bzip2, xz). Columns are separated by blanks, commas or
    semicolons (with semicolons a comma is a decimal point); the first line may be a header. In files of numbers
    "#" and "%" begin a comment.

    Raises:
        UserError: the file is not a recording; the message, one line, names the file and the invalid line.
        BadField: the file's format does not have this direction.
    """
    try:
        form, content = recognised(text_of(path))
        wanted = form.wanted(direction)
        if not wanted:
            return form.read(content) if isinstance(content, Table) else form.read(content, direction)
    except NoRecording as error:
        raise NoRecording(f"{path} is no trace: {error}") from None
    except UserError as error:
        raise UserError(f"{path} is no trace: {error}") from None
    raise BadField("direction", direction, f"{path} is {form.name}: {wanted}")


def text_of(path: str) -> str:
    """The text of a file in UTF-8 or UTF-16, plain or packed.

    Raises:
        UserError: the file cannot be read, or is too large.
    """
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
