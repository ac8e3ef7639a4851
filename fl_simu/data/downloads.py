"""Where to find the files of a data set: first in folders, then on mirrors.

A file is searched for in the given folder, in $FL_SIMU_DATA, then in the user's cache. If it is not found, it is
downloaded into the cache, from the first mirror that serves it with the right md5.
"""

import contextlib
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, List, Optional, Tuple

from fl_simu.kernel.errors import UserError, require
from fl_simu.kernel.shell import command_line

with warnings.catch_warnings():
    # In a notebook without ipywidgets, importing it warns about a progress bar that is not used here.
    warnings.simplefilter("ignore")
    import pooch

# A mirror that does not connect within this time is skipped, so that being offline does not take minutes.
CONNECT_S, READ_S = 3.0, 30.0

REASONS = {"ConnectionError": "no connection", "ConnectTimeout": "no answer", "ReadTimeout": "stalled"}


class DataUnavailable(UserError):
    """A file of a data set is in none of the searched folders, and no mirror served it."""


@dataclass(frozen=True)
class DataFile:
    """One file of a data set.

    Args:
        names: possible names on a disk, the preferred one first; mirrors serve this one.
        md5: checksum of the file that mirrors serve.
    """

    names: Tuple[str, ...]
    md5: str


@dataclass(frozen=True)
class FileSet:
    """The files of one data set, and where they can be found.

    Args:
        name: the data set.
        folders: folders inside a root that may contain the files, "" for the root itself; the first is the set's
            folder in the cache and on a user's mirror.
        mirrors: base URLs, each ending in "/", the preferred one first.
        files: the files of a complete set.
    """

    name: str
    folders: Tuple[str, ...]
    mirrors: Tuple[str, ...]
    files: Tuple[DataFile, ...]


def _idx_files(*md5s: str) -> Tuple[DataFile, ...]:
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    return tuple(DataFile((name + "-ubyte.gz", name + "-ubyte"), md5) for name, md5 in zip(names, md5s))


FILES = {
    "mnist": FileSet(
        name="mnist",
        folders=("mnist", "MNIST/raw", ""),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        files=_idx_files(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
    ),
    "fashion_mnist": FileSet(
        name="fashion_mnist",
        folders=("fashion-mnist", "fashion_mnist", "FashionMNIST/raw", ""),
        mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        files=_idx_files(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
    ),
    "cifar10": FileSet(
        name="cifar10",
        folders=("cifar10", ""),
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        files=(
            DataFile(
                ("cifar-10-python.tar.gz", "cifar-10-batches-py", "cifar-10-python-12k4k.tar.gz"),
                "c58f30108f718f92721af3b95e74349a",
            ),
        ),
    ),
    "cifar100": FileSet(
        name="cifar100",
        folders=("cifar100", "cifar100-sample", ""),
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        files=(
            DataFile(
                ("cifar-100-python.tar.gz", "cifar-100-python", "cifar100_sample_1000.npz"),
                "eb9058c3a382ffc7106e4002c42a8d85",
            ),
        ),
    ),
}


def cache() -> Path:
    """The folder for downloads."""
    return Path(pooch.os_cache("fl_simu"))


def roots(data_dir: Optional[Path] = None) -> List[Path]:
    """Folders to search, in order: the given one, $FL_SIMU_DATA, the user's cache.

    Raises:
        BadField: `data_dir` is given and is not a folder.
    """
    given = [Path(root).expanduser() for root in (data_dir, os.environ.get("FL_SIMU_DATA"), cache()) if root]
    exists = data_dir is None or os.path.isdir(str(given[0]))
    require(exists, "data_dir", data_dir, "it must be a folder that exists")
    return given


def find(files: FileSet, data_dir: Optional[Path] = None) -> List[Optional[Path]]:
    """Path of each file of a set on this machine, None if it is missing. Nothing is downloaded."""
    folders = [root / folder for root in roots(data_dir) for folder in files.folders]
    return [_first(folders, file.names) for file in files.files]


def fetch_files(files: FileSet, data_dir: Optional[Path] = None) -> List[Path]:
    """Path of each file of a set; files that are not on this machine are downloaded into the cache.

    Raises:
        DataUnavailable: a file is neither here nor served by any mirror.
    """
    found = find(files, data_dir)
    return [path or _download(files, file, data_dir) for path, file in zip(found, files.files)]


def _first(folders: List[Path], names: Tuple[str, ...]) -> Optional[Path]:
    paths = (folder / name for folder in folders for name in names)
    return next((path for path in paths if os.path.exists(str(path))), None)


def _download(files: FileSet, file: DataFile, data_dir: Optional[Path]) -> Path:
    downloader = pooch.HTTPDownloader(
        progressbar=sys.stderr.isatty(), chunk_size=1 << 16, timeout=(CONNECT_S, READ_S)
    )
    target, failures = cache() / files.folders[0], []
    for base in _mirrors(files):
        url = base + file.names[0]
        try:
            with _quiet_pooch():
                # pooch writes to a temporary name and renames the file after the checksum, so no incomplete file
                # remains.
                path = pooch.retrieve(url, "md5:" + file.md5, file.names[0], target, downloader=downloader)
            return Path(path)
        except (OSError, ValueError) as error:
            failures.append(f"{url} ({_reason(error)})")
    searched = ", ".join(str(root) for root in roots(data_dir))
    raise DataUnavailable(
        f"{file.names[0]} of {files.name} is not in {searched}, and could not be downloaded: "
        f"{'; '.join(failures)}. Give --data-dir or FL_SIMU_DATA a folder that holds it, "
        f"or run `{command_line('data', 'fetch', files.name)}` with a network"
    )


def _mirrors(files: FileSet) -> List[str]:
    own = os.environ.get("FL_SIMU_MIRROR", "").rstrip("/")
    first = [f"{own}/{files.folders[0]}/", own + "/"] if own else []
    return first + list(files.mirrors)


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    if "does not match the known hash" in str(error):
        return "wrong checksum"
    return REASONS.get(type(error).__name__, " ".join(str(error).split())[:120])


@contextlib.contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Silence pooch, since a mirror that fails does not matter while another one works."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel("WARNING")
    try:
        yield
    finally:
        logger.setLevel(level)
