"""Image data sets: read once, normalised once, kept as tensors.

Each data set is one frozen part with the same fields. Adding one is a class and a row in DATASETS.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Dict, List, Optional, Tuple, Type

import numpy as np
import torch
import torch.nn.functional as F

from fl_simu.data.downloads import FILES, DataUnavailable, FileSet, cache, fetch_files, find
from fl_simu.data.formats import (
    Chunk,
    batches,
    check_labels,
    plain_labels,
    read_arrays,
    read_batch,
    read_idx,
    told_as_damage,
)
from fl_simu.kernel.errors import UserError, require
from fl_simu.kernel.packages import install_command, installed

__all__ = [
    "DATASETS", "Cifar10", "Cifar100", "DataSource", "DataUnavailable", "Dataset", "Digits", "FashionMnist",
    "ImageSet", "Mnist", "Presence", "Samples", "fetch", "presence",
]  # fmt: skip

# Chunks of the training part, chunks of the test part, and a phrase for their origin.
Raw = Tuple[List[Chunk], List[Chunk], str]

SCALES = ("standard", "unit")
Shape = Tuple[int, int, int]

# The first eight labels (train, test), which distinguish the two sets whose files have the same names.
OPENINGS = {
    "mnist": ((5, 0, 4, 1, 9, 2, 1, 3), (7, 2, 1, 0, 4, 1, 4, 9)),
    "fashion_mnist": ((9, 0, 0, 3, 0, 2, 7, 2), (9, 2, 1, 1, 6, 1, 4, 6)),
}


@dataclass(frozen=True, eq=False)
class Samples:
    """Images with their labels.

    Args:
        images: float32 (N, C, H, W), scaled; for text the numbers of its characters, (N, 1, 1, length).
        labels: int64 (N,), classes counted from 0.
        ues: int64 (N,), the UE that has each sample, counted from 0; None if the data do not say.
    """

    images: torch.Tensor
    labels: torch.Tensor
    ues: Optional[torch.Tensor] = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A loaded data set; `source` says where it came from ("folder X", "downloaded", "scikit-learn")."""

    name: str
    train: Samples
    test: Samples
    classes: int
    source: str


@dataclass(frozen=True)
class Presence:
    """Whether a data set is on this machine; `where` is its folder, or a phrase for the missing files."""

    name: str
    present: bool
    where: str


class DataSource(ABC):
    """The images and their labels.

    Text is handled in the same way: a sample is an image of 1 x 1 x its length, whose pixels are the numbers of
    its characters.

    Class attributes:
        symbols: for text, the number of characters or words; each is a whole number in float32, from 0 to
            symbols - 1. None for pixels.
    """

    files: ClassVar[Optional[FileSet]] = None
    symbols: ClassVar[Optional[int]] = None

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the data."""

    @property
    @abstractmethod
    def shape(self) -> Shape:
        """Shape of one image, (C, H, W)."""

    @property
    @abstractmethod
    def classes(self) -> int:
        """Number of classes; labels count from 0."""

    @abstractmethod
    def load(self, data_dir: Optional[Path] = None) -> Dataset:
        """Read the data.

        Args:
            data_dir: folder to search first, if the data are files that may be in several folders.
        """


@dataclass(frozen=True)
class ImageSet(DataSource):
    """A public data set.

    A pair such as 60,000 + 10,000 gives the numbers of training and test images. The files are searched for in
    `--data-dir`, in `$FL_SIMU_DATA`, then in the user's cache. If they are not found, they are downloaded into the
    cache and checked.

    Args:
        train_samples: use only this many training images, from the first on: 1 to the number in the set, or in the
            part of it that is present; all if not given.
        test_samples: the same for the test images.
        scale: how pixels x in 0..white are scaled: "standard" gives (x / white - mean) / deviation, with a fixed
            mean and standard deviation for each channel of the set; "unit" gives x / white, in 0..1.

    Raises:
        BadField: a number below 1, or above what the set has; another scale.
    """

    train_samples: Optional[int] = None
    test_samples: Optional[int] = None
    scale: str = "standard"

    name: ClassVar[str]
    shape: ClassVar[Shape] = (1, 28, 28)
    classes: ClassVar[int] = 10
    sizes: ClassVar[Tuple[int, int]] = (60000, 10000)
    white: ClassVar[float] = 255.0
    mean: ClassVar[Tuple[float, ...]]
    deviation: ClassVar[Tuple[float, ...]]

    def __post_init__(self) -> None:
        for field, size in zip(("train_samples", "test_samples"), self.sizes):
            value = getattr(self, field)
            whole = isinstance(value, int) and not isinstance(value, bool)
            allowed = f"a whole number from 1 to {size}, all that {self.name} has"
            require(value is None or (whole and 1 <= value <= size), field, value, allowed)
        require(self.scale in SCALES, "scale", self.scale, "one of " + ", ".join(SCALES))

    def load(self, data_dir: Optional[Path] = None) -> Dataset:
        """Read the data set, and download files that are not on this machine.

        Args:
            data_dir: folder to search before $FL_SIMU_DATA and the user's cache.

        Raises:
            DataUnavailable: a file is neither here nor downloadable.
            UserError: a file is damaged, or holds fewer samples than asked for.
        """
        train, test, source = self._read(data_dir)
        test_part = self._samples("test_samples", test, source)
        return Dataset(self.name, self._samples("train_samples", train, source), test_part, self.classes, source)

    def read(self, data_dir: Optional[Path] = None) -> Raw:
        """The pixels as in the files, not yet scaled.

        Args:
            data_dir: as for `load`.

        Returns:
            Chunks of the training part and of the test part, each of pixels in rows and int64 or uint8 labels;
            and a phrase for their origin.

        Raises:
            DataUnavailable: a file is neither here nor downloadable.
            UserError: a file is damaged.
        """
        return self._read(data_dir)

    @abstractmethod
    def _read(self, data_dir: Optional[Path]) -> Raw: ...

    def _samples(self, field: str, chunks: List[Chunk], source: str) -> Samples:
        held = sum(len(labels) for _, labels in chunks)
        wanted = getattr(self, field)
        count = held if wanted is None else wanted
        require(count <= held, field, count, f"at most {held}, all that {source} holds")
        images, labels = torch.empty((count, *self.shape)), torch.empty(count, dtype=torch.int64)
        at = 0
        for pixels, classes in chunks:
            end = min(at + len(classes), count)
            images[at:end] = torch.from_numpy(pixels[: end - at]).view(-1, *self.shape)
            labels[at:end] = torch.from_numpy(classes[: end - at])
            at = end
        images.div_(self.white)
        if self.scale == "unit":
            return Samples(images, labels)
        mean, deviation = (torch.tensor(list(v)).view(-1, 1, 1) for v in (self.mean, self.deviation))
        return Samples(images.sub_(mean).div_(deviation), labels)


class _IdxSet(ImageSet):
    def _read(self, data_dir: Optional[Path]) -> Raw:
        assert self.files is not None
        paths = fetch_files(self.files, data_dir)
        train = self._read_part(paths[0], paths[1], self.sizes[0], self.train_samples)
        test = self._read_part(paths[2], paths[3], self.sizes[1], self.test_samples)
        return [train], [test], _source(paths[0])

    def _read_part(self, images: Path, labels: Path, size: int, rows: Optional[int]) -> Chunk:
        classes = read_idx(labels, (size,))
        check_labels(labels, classes, self.classes)
        for other, openings in OPENINGS.items():
            if other != self.name and tuple(classes[:8]) in openings:
                raise UserError(f"{labels}: holds {other}, not {self.name}")
        return read_idx(images, (size, *self.shape[1:]), rows), classes[:rows]


@dataclass(frozen=True)
class Mnist(_IdxSet):
    """Handwritten digits, 28x28 grey, 60,000 + 10,000.

    Normalised with mean 0.1307 and standard deviation 0.3081, those of the training pixels. The easier half of the
    test images comes first.

    Reference: LeCun et al., "Gradient-based learning applied to document recognition", 1998.
    """

    name = "mnist"
    mean, deviation = (0.1307,), (0.3081,)
    files = FILES["mnist"]


@dataclass(frozen=True)
class FashionMnist(_IdxSet):
    """Pieces of clothing, 28x28 grey, 60,000 + 10,000.

    Normalised with mean 0.2860 and standard deviation 0.3530, those of the training pixels.

    Reference: Xiao, Rasul, Vollgraf, arXiv:1708.07747.
    """

    name = "fashion_mnist"
    mean, deviation = (0.2860,), (0.3530,)
    files = FILES["fashion_mnist"]


class _CifarSet(ImageSet):
    shape = (3, 32, 32)
    sizes = (50000, 10000)
    train_batches: ClassVar[Tuple[str, ...]]
    test_batch: ClassVar[str]
    label_key: ClassVar[str]

    def _read(self, data_dir: Optional[Path]) -> Raw:
        assert self.files is not None
        path = fetch_files(self.files, data_dir)[0]
        train, test = self._read_parts(path)
        held = tuple(sum(len(labels) for _, labels in chunks) for chunks in (train, test))
        note = "" if held == self.sizes else " (a part of {}: {} + {} images)".format(self.name, *held)
        return train, test, _source(path) + note

    def _read_parts(self, path: Path) -> Tuple[List[Chunk], List[Chunk]]:
        names = (*self.train_batches, self.test_batch)
        chunks, pixels = {}, int(np.prod(self.shape))
        # Python 3 may write a pixel as two bytes; labels and file names take less than 300 bytes per image.
        most = sum(self.sizes) * (2 * pixels + 300)
        with told_as_damage(path):
            for name, stream in batches(path, names, most):
                chunks[name] = read_batch(stream, pixels, self.label_key)
                check_labels(path / name, chunks[name][1], self.classes)
            missing = [name for name in names if name not in chunks]
            if missing:
                raise UserError("{}: lacks {}".format(path, ", ".join(missing)))
        return [chunks[name] for name in self.train_batches], [chunks[self.test_batch]]


@dataclass(frozen=True)
class Cifar10(_CifarSet):
    """Photographs of 10 classes, 32x32 RGB: the official archive (50,000 + 10,000), its folder, or a part.

    All channels are normalised with mean 0.4750 and standard deviation 0.2008, as in the notes.

    Reference: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """

    name = "cifar10"
    mean, deviation = (0.4750,) * 3, (0.2008,) * 3
    train_batches = tuple(f"data_batch_{i}" for i in range(1, 6))
    test_batch = "test_batch"
    label_key = "labels"
    files = FILES["cifar10"]


@dataclass(frozen=True)
class Cifar100(_CifarSet):
    """Photographs of 100 classes, 32x32 RGB: the official archive (50,000 + 10,000), its folder, or a sample.

    The sample, cifar100_sample_1000.npz, holds 10 images per class, of mixed origin: rows 0..799 (8 per class) are
    training images, rows 800..999 (2 per class) are test images. Each channel is normalised with its usual mean
    and standard deviation over the training pixels.

    Reference: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """

    name = "cifar100"
    classes = 100
    mean, deviation = (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)
    train_batches = ("train",)
    test_batch = "test"
    label_key = "fine_labels"
    files = FILES["cifar100"]

    def _read_parts(self, path: Path) -> Tuple[List[Chunk], List[Chunk]]:
        if path.suffix != ".npz":
            return super()._read_parts(path)
        with told_as_damage(path):
            arrays = read_arrays(path, most=2 * 1000 * 32 * 32 * 3)
            images, labels = arrays["images"], plain_labels(arrays["labels"])
            if images.shape != (1000, 32, 32, 3) or images.dtype != np.uint8 or labels.shape != (1000,):
                raise UserError(f"{path}: not 1000 RGB images of 32x32 bytes with a label each")
        check_labels(path, labels, self.classes)
        rows = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(1000, -1)
        return [(rows[:800], labels[:800])], [(rows[800:], labels[800:])]


@dataclass(frozen=True)
class Digits(ImageSet):
    """scikit-learn's handwritten digits (8x8, 0..16), resized to 28x28 by bilinear interpolation.

    Every fifth image of each class is a test image, and the others are training images (1442 + 355). Normalised
    with mean 0.3051 and standard deviation 0.3249, those of the training pixels. The images come with scikit-learn
    and need no network.

    Reference: Alpaydin, Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998.
    """

    name = "digits"
    sizes = (1442, 355)
    white = 16.0
    mean, deviation = (0.3051,), (0.3249,)

    def _read(self, data_dir: Optional[Path]) -> Raw:
        try:
            from sklearn.datasets import load_digits
        except ImportError as error:
            raise DataUnavailable(f"digits are part of scikit-learn: `{install_command('sklearn')}`") from error
        bunch = load_digits()
        # Computed in float64, so that every torch gives the same float32.
        small = torch.from_numpy(bunch.images).to(torch.float64).unsqueeze(1)
        large = F.interpolate(small, size=self.shape[1:], mode="bilinear", align_corners=False)
        images = large.to(torch.float32).numpy()
        labels = bunch.target.astype(np.int64)
        rank = np.empty_like(labels)  # number of earlier images of the same class
        for label in range(self.classes):
            rank[labels == label] = np.arange(np.count_nonzero(labels == label))
        test = rank % 5 == 4
        return [(images[~test], labels[~test])], [(images[test], labels[test])], "scikit-learn"


DATASETS: Dict[str, Type[ImageSet]] = {
    "mnist": Mnist,
    "fashion_mnist": FashionMnist,
    "cifar10": Cifar10,
    "cifar100": Cifar100,
    "digits": Digits,
}


def fetch(name: str, data_dir: Optional[Path] = None) -> List[Path]:
    """Paths of a data set's files; files that are not on this machine are downloaded into the user's cache.

    Raises:
        BadField: there is no data set of this name.
        DataUnavailable: a file is neither here nor downloadable.
    """
    require(name in DATASETS, "dataset", name, "one of " + ", ".join(DATASETS))
    files = DATASETS[name].files
    return [] if files is None else fetch_files(files, data_dir)


def presence(data_dir: Optional[Path] = None) -> List[Presence]:
    """For each data set, whether it is on this machine and where. Nothing is read or downloaded."""
    return [_presence(name, part.files, data_dir) for name, part in DATASETS.items()]


def _presence(name: str, files: Optional[FileSet], data_dir: Optional[Path]) -> Presence:
    if files is None:
        here = installed("sklearn")
        return Presence(name, here, "scikit-learn" if here else "scikit-learn is not installed")
    paths = find(files, data_dir)
    missing = [file.names[0] for file, path in zip(files.files, paths) if path is None]
    folders = dict.fromkeys(str(path.parent) for path in paths if path is not None)
    return Presence(name, not missing, "missing: " + ", ".join(missing) if missing else ", ".join(folders))


def _source(path: Path) -> str:
    return "downloaded" if cache() in path.parents else f"folder {path.parent}"
