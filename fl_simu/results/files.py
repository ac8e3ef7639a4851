"""Writes files completely or not at all; all output of a run is written here."""

import errno
import json
import math
import os
import re
import secrets
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Iterable, Iterator, Union

from fl_simu.kernel.errors import UserError

PathLike = Union[str, "os.PathLike[str]"]


@contextmanager
def told_in_one_line(path: PathLike, doing: str = "write") -> Iterator[None]:
    """Turn a system error about a file into a one-line UserError that names the file and the reason."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise UserError(f"cannot {doing} {path}: {reason}") from error


def make_folder(path: PathLike) -> Path:
    """Create a folder and its parents if they are missing.

    Args:
        path: the folder.

    Returns:
        The folder's path.

    Raises:
        UserError: it cannot be created, or a file has that name.
    """
    folder = Path(path)
    with told_in_one_line(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def alone_in(path: PathLike) -> Iterator[None]:
    """Lock a folder against other processes, so that two of them do not mix their files.

    The system releases the lock when the process ends, however it ends. On systems without such locks (Windows,
    and some network drives) no process is kept out.

    Args:
        path: a folder that exists; the lock keeps out only processes that also ask for it.

    Raises:
        UserError: another process has locked it.
    """
    with told_in_one_line(path, "open"):
        folder = os.open(os.fspath(path), os.O_RDONLY)
    try:
        with told_in_one_line(path, "lock"):
            _lock(folder, path)
        yield
    finally:
        os.close(folder)


def _lock(folder: int, path: PathLike) -> None:
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(f"{path} is in use by another process: wait until it has ended") from None
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP):
            raise


def write_atomically(path: PathLike, data: bytes) -> None:
    """Replace a file's content in one step, so that a reader, or a crash, finds the old bytes or the new ones.

    Args:
        path: the file; its folder must exist. A symbolic link is followed.
        data: the complete content.

    Raises:
        UserError: the disk is full, the folder is missing or not writable, or the path is not a regular
            file. The previous file is then unchanged, and no temporary file is left.
    """
    target = Path(os.path.realpath(os.fspath(path)))
    with told_in_one_line(path):
        # Renaming onto a device such as /dev/null would remove the device.
        if target.exists() and not target.is_file():
            raise OSError(errno.EINVAL, "it is a folder or a device, not a file")
        temporary = target.parent / f".{os.getpid()}.{secrets.token_hex(8)}.tmp"
        try:
            _write_durably(temporary, data)
            os.replace(str(temporary), str(target))
        except BaseException:
            _remove_if_there(temporary)
            raise
        _sync_folder(target.parent)


def remove_leftovers(folders: Iterable[PathLike]) -> None:
    """Remove the temporary files that killed writers left in these folders, some of which may be missing."""
    for path in leftovers(folders):
        _remove_if_there(path)


def leftovers(folders: Iterable[PathLike]) -> Iterator[Path]:
    """The temporary files of writers that have ended."""
    for folder in map(Path, folders):
        for path in folder.glob(".*.tmp") if folder.is_dir() else ():
            name = re.match(r"\.(\d{1,9})\.[0-9a-f]{16}\.tmp$", path.name)
            if name and not _runs(int(name.group(1))):
                yield path


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def refuse_links(folder: PathLike) -> None:
    """Check that a folder from someone else contains no link that leads out of it.

    Raises:
        UserError: it contains a symbolic link, or cannot be read.
    """
    for place, folders, names in os.walk(os.fspath(folder)):
        for name in [*folders, *names]:
            path = os.path.join(place, name)
            if os.path.islink(path):
                raise UserError(f"{path} is a link: what a run left behind is read and written in its own folder")


def write_text(path: PathLike, text: str) -> None:
    """Write a text as UTF-8, atomically; see `write_atomically`."""
    write_atomically(path, text.encode("utf-8"))


def write_json(path: PathLike, value: Any) -> None:
    """Write a value as indented JSON, atomically; NaN and infinities become null. See `write_atomically`."""
    write_text(path, json.dumps(finite_or_none(value), indent=2, allow_nan=False) + "\n")


def read_bytes(path: PathLike) -> bytes:
    """The content of a file.

    Raises:
        UserError: it cannot be read, or is a folder or a device.
    """
    with told_in_one_line(path, "read"):
        # Opening a pipe for reading waits until a process writes to it.
        if not stat.S_ISREG(os.stat(os.fspath(path)).st_mode):
            raise OSError(errno.EINVAL, "it is a folder or a device, not a file")
        return Path(path).read_bytes()


def read_json(path: PathLike) -> Any:
    """The value in a JSON file.

    Raises:
        UserError: the file cannot be read.
        ValueError: it is not JSON.
    """
    data = read_bytes(path)
    try:
        return json.loads(data.decode("utf-8"))
    except RecursionError:
        raise ValueError("nested too deep") from None


def append_durably(path: PathLike, data: bytes) -> None:
    """Append bytes and flush them to the disk; bytes from a failed attempt are removed again.

    Args:
        path: the file, created if missing; its folder must exist.
        data: the bytes to append.

    Raises:
        UserError: the disk is full, or the folder or the file is not writable.
    """
    target = Path(path)
    with told_in_one_line(target):
        is_new = not target.exists()
        with open(str(target), "ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                _write_all(file, data)
                os.fsync(file.fileno())
            except BaseException:
                _cut_off(file, size)
                raise
        if is_new:
            _sync_folder(target.parent)


def finite_or_none(value: Any) -> Any:
    """Return a value of dicts, lists and scalars with None for every NaN and infinity, which JSON lacks.

    >>> finite_or_none({"loss": float("nan"), "delays_s": (1.5, float("inf"))})
    {'loss': None, 'delays_s': [1.5, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite_or_none(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_none(item) for item in value]
    return value


def _write_durably(path: Path, data: bytes) -> None:
    with open(str(path), "xb", buffering=0) as file:
        _write_all(file, data)
        os.fsync(file.fileno())


def _write_all(file: Any, data: bytes) -> None:
    # An unbuffered write may write only a part: 2 GiB at most on Linux, less when a disk fills up.
    rest = memoryview(data)
    while len(rest):
        rest = rest[file.write(rest) :]


def _remove_if_there(path: Path) -> None:
    with suppress(OSError):
        os.unlink(str(path))


def _cut_off(file: Any, size: int) -> None:
    with suppress(OSError):
        file.truncate(size)


def _sync_folder(folder: Path) -> None:
    """Flush a rename to the disk. Not every file system can; the renamed file is complete in any case."""
    if os.name != "posix":
        return
    try:
        descriptor = os.open(str(folder), os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
