"""Readers of data files: idx files, pickled CIFAR batches, NPZ, JSON; all are checked and none is trusted."""

import contextlib
import gzip
import json
import os
import pickle
import posixpath
import stat
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, Callable, ClassVar, Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import UserError, brief, one_line, shown

# Pixels, where each row is an image of C*H*W numbers, and labels (n,).
Chunk = Tuple[np.ndarray, np.ndarray]

MOST_MEMBERS = 100

# Exceptions that the readers raise for invalid bytes.
DAMAGE = (ValueError, KeyError, EOFError, struct.error, zlib.error, tarfile.TarError, pickle.UnpicklingError)


def read_idx(path: Path, shape: Tuple[int, ...], rows: Optional[int] = None) -> np.ndarray:
    """Contents of an idx file (plain, or gzip by its suffix), checked to the end.

    Args:
        path: the file.
        shape: required shape, the number of items first.
        rows: number of items to keep, from the first on.

    Returns:
        uint8 array, (rows or shape[0], *shape[1:]).

    Raises:
        UserError: the file is not an idx file, has another shape, is too short or too long, or is a broken gzip
            stream.
    """
    opener: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with told_as_damage(path), opener(str(path), "rb") as stream:
        header = stream.read(4 + 4 * len(shape))
        magic, *held = struct.unpack(f">{1 + len(shape)}I", header)
        if magic != 0x0800 + len(shape):
            raise UserError(f"{path}: magic number {magic:#x}, expected {0x0800 + len(shape):#x}")
        if tuple(held) != shape:
            raise UserError(f"{path}: holds {_by(held)} items, expected {_by(shape)}")
        kept = np.empty((shape[0] if rows is None else rows, *shape[1:]), np.uint8)
        expected = int(np.prod(shape))
        size = _read_to_end(stream, kept, expected)
        if size != expected:
            found = f"over {expected}" if size > expected else str(size)
            raise UserError(f"{path}: {found} bytes of data, expected {expected}")
    return kept


def _read_to_end(stream: IO[bytes], kept: np.ndarray, expected: int) -> int:
    """Fill the array to keep; return the number of bytes in the stream, counted to one more than expected."""
    view, size = kept.data.cast("B"), 0
    while size <= expected:
        piece = stream.read(min(1 << 20, expected + 1 - size))
        if not piece:
            break
        head = piece[: max(0, len(view) - size)]
        view[size : size + len(head)] = head
        size += len(piece)
    return size


def _encoded(text: str, coding: str) -> bytes:
    """Bytes as Python 3 writes them into a pickle that Python 2 can read."""
    if coding != "latin1":
        raise pickle.UnpicklingError(f"bytes written as {coding!r}, and no image file is")
    return text.encode(coding)


# Not the C class, so that a number in a file cannot decide how much memory is used.
class ArrayUnpickler(pickle._Unpickler):  # type: ignore[name-defined,misc]
    """Reads plain data and numpy arrays, and refuses to load any other class or function."""

    ALLOWED: ClassVar[Dict[Tuple[str, str], Any]] = {
        # An array is created empty, and gets its shape together with its bytes.
        **dict.fromkeys(
            ((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
            lambda cls, shape, code: np.empty(0, np.uint8),
        ),
        **dict.fromkeys(
            ((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
            lambda buffer, dtype, shape, order: np.frombuffer(buffer, dtype).reshape(shape, order=order),
        ),
        ("numpy", "ndarray"): None,
        # Old pickles give align and copy as integers, about which numpy 2.4 warns; neither has an effect here.
        ("numpy", "dtype"): lambda code, align=False, copy=False: np.dtype(code),
        ("_codecs", "encode"): _encoded,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"refers to {module}.{name}, which no image file needs")
        return self.ALLOWED[module, name]


class Limited:
    """A stream that refuses to be read beyond a number of bytes.

    Args:
        stream: the stream to read.
        most: maximum number of bytes.
    """

    def __init__(self, stream: Any, most: int) -> None:
        self._stream, self._left, self._most = stream, most, most

    def read(self, size: int = -1) -> bytes:
        # At most one byte beyond the limit is read.
        wanted = self._left + 1 if size < 0 else min(size, self._left + 1)
        return self._counted(self._stream.read(wanted))

    def readline(self) -> bytes:
        return self._counted(self._stream.readline(self._left + 1))

    def _counted(self, piece: bytes) -> bytes:
        self._left -= len(piece)
        if self._left < 0:
            raise ValueError(f"over {self._most:,} bytes, more than such a file holds")
        return piece


def read_batch(stream: Any, pixels: int, label_key: str) -> Chunk:
    """One pickled CIFAR batch, from Python 2 or 3: uint8 (n, pixels) and int64 labels (n,).

    Raises:
        ValueError: the file is not such a batch.
    """
    raw = _unpickled(stream)
    if not isinstance(raw, dict):
        raise ValueError(f"a {type(raw).__name__}, and no table of images and labels")
    fields = {key.decode("latin1") if isinstance(key, bytes) else key: value for key, value in raw.items()}
    missing = [key for key in ("data", label_key) if key not in fields]
    if missing:
        raise ValueError("lacks " + " and ".join(missing))
    images, labels = fields["data"], plain_labels(fields[label_key])
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape != (len(labels), pixels):
        shape, dtype = getattr(images, "shape", ()), getattr(images, "dtype", type(images).__name__)
        raise ValueError(f"{_by(shape)} {dtype} pixels for {len(labels)} labels")
    return images, labels


def _unpickled(stream: Any) -> Any:
    try:
        return ArrayUnpickler(stream, encoding="bytes").load()
    except (OSError, MemoryError, *DAMAGE):
        raise
    except Exception as error:  # invalid bytes can raise anything in an unpickler
        raise pickle.UnpicklingError(f"{type(error).__name__}: {error}") from error


def plain_labels(labels: Any) -> np.ndarray:
    """Labels as int64, shape (n,).

    Raises:
        ValueError: they are not a plain list of whole numbers.
    """
    listed = isinstance(labels, (list, tuple)) and all(type(one) is int and abs(one) < 2**31 for one in labels)
    if not listed and not (isinstance(labels, np.ndarray) and labels.ndim == 1 and labels.dtype.kind in "iu"):
        raise ValueError("the labels are no plain list of whole numbers")
    return np.array(labels, np.int64)


def batches(path: Path, names: Sequence[str], most: int) -> Iterator[Tuple[str, Any]]:
    """The named members of a gzipped tar file, or files of a folder, in their order: (name, open stream).

    Args:
        path: the archive or the folder.
        names: names of the members.
        most: maximum number of bytes, all together.

    Raises:
        ValueError: there are more bytes.
    """
    if path.is_dir():
        for name in (name for name in names if os.path.exists(str(path / name))):
            with open(str(path / name), "rb") as stream:
                yield name, Limited(stream, most)
        return
    with gzip.open(str(path)) as whole:
        unzipped: Any = Limited(whole, most)
        # Members are read in memory, in their order; nothing is extracted to a path.
        with tarfile.open(fileobj=unzipped, mode="r|") as archive:
            for count, member in enumerate(archive):
                if count >= MOST_MEMBERS:
                    raise ValueError(f"over {MOST_MEMBERS} members, more than such a file holds")
                name = posixpath.basename(member.name)
                content = archive.extractfile(member) if name in names and member.isfile() else None
                if content is not None:
                    # A sparse member may be longer than its data in the archive.
                    yield name, Limited(content, most)
        while unzipped.read(1 << 20):  # to the end, where gzip checks its own checksum
            pass


def read_arrays(path: Path, most: int) -> Dict[str, np.ndarray]:
    """The arrays of an NPZ file.

    Args:
        path: the file.
        most: maximum number of bytes, all together.

    Raises:
        ValueError: the file is not an NPZ file, or has more bytes.
    """
    with open(str(path), "rb") as file:
        try:
            if sum(member.file_size for member in zipfile.ZipFile(file).infolist()) > most:
                raise ValueError(f"over {most:,} bytes, more than such a file holds")
            with np.load(file, allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except OSError:
            raise
        except Exception as error:  # the header decides what numpy tries to create
            raise ValueError(str(error)) from error


def read_json(path: Path, make: Callable[[Dict[str, Any]], Any] = lambda table: table) -> Any:
    """The contents of a JSON file.

    Args:
        path: the file, in UTF-8.
        make: function whose result replaces a table, called as soon as the table has been read, inner ones first.

    Raises:
        UserError: the file cannot be read, is not JSON, or has a key twice in one table.
    """

    def checked(pairs: List[Tuple[str, Any]]) -> Any:
        table = dict(pairs)
        if len(table) != len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in table if names.count(name) > 1)
            raise ValueError(f"{shown(twice)} stands twice in one table")
        return make(table)

    with told_as_damage(path):
        if not stat.S_ISREG(os.stat(str(path)).st_mode):
            raise ValueError("not a plain file")
        with open(str(path), encoding="utf-8") as stream:
            try:
                return json.load(stream, object_pairs_hook=checked)
            except RecursionError:
                raise ValueError("nested too deep") from None


@contextlib.contextmanager
def told_as_damage(path: Path) -> Iterator[None]:
    """Turn exceptions of readers about invalid bytes into a UserError that names the file.

    Errors of the operating system become a UserError with the system's reason. Other exceptions are unchanged.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        # gzip reports damage as an OSError without a number.
        if error.errno is not None:
            raise UserError(f"cannot read {path}: {error.strerror}") from error
        raise UserError(_damaged(path, error)) from error
    except DAMAGE as error:
        raise UserError(_damaged(path, error)) from error


def _damaged(path: Path, error: Exception) -> str:
    reason = brief(one_line(str(error)), 120) or type(error).__name__
    return f"{path}: damaged, or not what its name says: {reason}"


def check_labels(path: Path, labels: np.ndarray, classes: int) -> None:
    """Raise UserError unless every label is one of `classes` classes."""
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise UserError(f"{path}: labels from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}")


def _by(sizes: Sequence[int]) -> str:
    return " x ".join(str(size) for size in sizes)
