"""The files that image data sets come in: idx files, and pickled CIFAR batches, checked and never trusted."""

import contextlib
import gzip
import os
import pickle
import posixpath
import struct
import tarfile
from pathlib import Path
from typing import IO, Any, Callable, ClassVar, Dict, Iterator, Optional, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import UserError

# Pixels, one row an image of C*H*W numbers, and labels (n,).
Chunk = Tuple[np.ndarray, np.ndarray]


def read_idx(path: Path, shape: Tuple[int, ...], rows: Optional[int] = None) -> np.ndarray:
    """Bytes of an idx file (plain, or gzip by its suffix), checked to its end.

    Args:
        path: the file.
        shape: what it must hold, the number of items first.
        rows: keep only the first so many items.

    Returns:
        uint8 array, (rows or shape[0], *shape[1:]).

    Raises:
        UserError: not such a file, another shape, too short, too long, or a broken gzip stream.
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
        size, expected = _read_to_end(stream, kept), int(np.prod(shape))
        if size != expected:
            raise UserError(f"{path}: {size} bytes of data, expected {expected}")
    return kept


def _read_to_end(stream: IO[bytes], kept: np.ndarray) -> int:
    view, size = kept.data.cast("B"), 0
    for piece in iter(lambda: stream.read(1 << 20), b""):
        head = piece[: max(0, len(view) - size)]
        view[size : size + len(head)] = head
        size += len(piece)
    return size


class ArrayUnpickler(pickle.Unpickler):
    """Reads plain data and numpy arrays, and refuses to load any other class or function."""

    ALLOWED: ClassVar[Dict[Tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        # Old pickles give align and copy as integers, which numpy 2.4 warns of; both are without effect here.
        ("numpy", "dtype"): lambda code, align=False, copy=False: np.dtype(code),
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"refers to {module}.{name}, which no image file needs")
        return self.ALLOWED[module, name]


def read_batch(stream: IO[bytes], pixels: int, label_key: str) -> Chunk:
    """One pickled CIFAR batch, of Python 2 or 3: uint8 (n, pixels) and int64 labels (n,)."""
    raw = ArrayUnpickler(stream, encoding="bytes").load()
    fields = {key.decode() if isinstance(key, bytes) else key: value for key, value in raw.items()}
    images, labels = fields["data"], np.array(fields[label_key], np.int64)
    if images.dtype != np.uint8 or images.shape != (len(labels), pixels):
        raise ValueError(f"{_by(images.shape)} {images.dtype} pixels for {len(labels)} labels")
    return images, labels


def batches(path: Path, names: Sequence[str]) -> Iterator[Tuple[str, IO[bytes]]]:
    """The named members of a gzipped tar file, or files of a folder, as they come by: (name, open stream)."""
    if path.is_dir():
        for name in (name for name in names if os.path.exists(str(path / name))):
            with open(str(path / name), "rb") as stream:
                yield name, stream
        return
    with gzip.open(str(path)) as unzipped:
        # Members are read in memory as they come by; nothing is extracted to a path.
        with tarfile.open(fileobj=unzipped, mode="r|") as archive:
            for member in archive:
                name = posixpath.basename(member.name)
                content = archive.extractfile(member) if name in names and member.isfile() else None
                if content is not None:
                    yield name, content
        while unzipped.read(1 << 20):  # to the end, where gzip checks its own checksum
            pass


@contextlib.contextmanager
def told_as_damage(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a file is read into a UserError of one line that names it."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # zlib, struct, tarfile, pickle and numpy raise almost anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: damaged, or not what its name says: {reason[:200]}") from error


def check_labels(path: Path, labels: np.ndarray, classes: int) -> None:
    """Raise UserError unless every label is one of `classes` classes."""
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise UserError(f"{path}: labels from {labels.min()} to {labels.max()}, expected 0 to {classes - 1}")


def _by(sizes: Sequence[int]) -> str:
    return " x ".join(str(size) for size in sizes)
