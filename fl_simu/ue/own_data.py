"""Data of one's own: tensors, torch data sets, an NPZ file, a function that makes one of them."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Type

import numpy as np
import torch
from torch import Tensor

from fl_simu.kernel.errors import UserError, brief, shown
from fl_simu.parts import Adapted, called_with
from fl_simu.ue.datasets import DATASETS, Dataset, DataSource, Samples, Shape
from fl_simu.ue.image_files import read_arrays, told_as_damage

# More than a machine for which this is meant holds.
MOST_BYTES = 2**36
KEYS = ("x_train", "y_train", "x_test", "y_test")


class Arrays(NamedTuple):
    """A data set in memory, and what follows from it."""

    train: Samples
    test: Samples
    classes: int

    @property
    def shape(self) -> Shape:
        """Of one image, (C, H, W)."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width


class _Own(DataSource):
    """What sources of one's own share: shape and classes are those of the data."""

    def arrays(self) -> Arrays:
        """The data, made or read once."""
        raise NotImplementedError

    @property
    def shape(self) -> Shape:
        return self.arrays().shape

    @property
    def classes(self) -> int:
        return self.arrays().classes

    def load(self, data_dir: Optional[Path] = None) -> Dataset:
        train, test, classes = self.arrays()
        return Dataset(self.name, train, test, classes, self.source)

    @property
    def source(self) -> str:
        """Where it came from, in a few words."""
        return "one's own"


@dataclass(frozen=True)
class Npz(_Own):
    """Arrays of an NPZ file: x_train, y_train, x_test, y_test.

    Images of shape (N, C, H, W) or (N, H, W), or rows of a table (N, features), which count as images of
    1 x 1 x features; they become float32, and are not scaled. Labels are whole numbers from 0 on, shape (N,).
    `numpy.savez` writes such a file. In a TOML file a function of a file or module may stand here too; see
    docs/python.md#data-of-your-own.

    Args:
        path: the file.
    """

    path: str

    @property
    def name(self) -> str:
        return Path(self.path).stem

    @property
    def source(self) -> str:
        return f"file {self.path}"

    def arrays(self) -> Arrays:
        try:
            about = os.stat(self.path)
        except (OSError, ValueError) as error:
            raise UserError(f"data.path = {shown(self.path)}: {getattr(error, 'strerror', error)}") from None
        return _read_npz(self.path, about.st_mtime_ns, about.st_size)


@functools.lru_cache(maxsize=2)
def _read_npz(path: str, changed_ns: int, size: int) -> Arrays:
    with told_as_damage(Path(path)):
        found = read_arrays(Path(path), MOST_BYTES)
    lacking = [key for key in KEYS if key not in found]
    if lacking:
        raise UserError(f"{path}: lacks {', '.join(lacking)}")
    return _arrays(path, *(found[key] for key in KEYS))


@dataclass(frozen=True, eq=False)
class OwnData(Adapted, _Own):
    """A training and a test set, each a pair (images, labels) of tensors or arrays, or a torch data set of such
    pairs; or a function that makes the two.

    Args:
        given: (training set, test set), or what makes them.
        options: the function's arguments, by name.
    """

    given: Any
    options: Tuple[Tuple[str, Any], ...] = ()

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, OwnData) and self.given is other.given and self.options == other.options

    def __hash__(self) -> int:
        return hash((id(self.given), self.options))

    def __repr__(self) -> str:
        return f"OwnData({self.name})"

    @property
    def origin(self) -> Any:
        return self.given if callable(self.given) else OwnData

    @property
    def name(self) -> str:
        return getattr(self.given, "__name__", "own")

    def arrays(self) -> Arrays:
        if "_made" not in self.__dict__:
            pair = self.given(**dict(self.options)) if callable(self.given) else self.given
            try:
                train, test = pair
            except (TypeError, ValueError):
                raise UserError(f"data = {self.name} is not allowed: a training set and a test set") from None
            made = _arrays(f"data {self.name}", *_split(train), *_split(test))
            object.__setattr__(self, "_made", made)
        return self.__dict__["_made"]


def adapt(found: Any, arguments: Mapping[str, Any]) -> Optional[OwnData]:
    """The data that a callable makes with these arguments, or that are in a pair; None of anything else.

    Raises:
        UserError: the callable has no such arguments.
    """
    if isinstance(found, (tuple, list)) and len(found) == 2:
        return OwnData(tuple(found))
    options = called_with("data", found, arguments)
    return None if options is None else OwnData(found, options)


def _split(part: Any) -> Tuple[Any, Any]:
    """Images and labels of a pair of arrays, or of a torch data set."""
    if isinstance(part, (tuple, list)) and len(part) == 2:
        return part[0], part[1]
    if not (hasattr(part, "__getitem__") and hasattr(part, "__len__")):
        raise UserError("data is not allowed: (images, labels), or a torch data set of such pairs")
    pairs: List[Any] = [part[place] for place in range(len(part))]
    images = torch.stack([torch.as_tensor(np.asarray(image)) for image, _ in pairs])
    return images, torch.tensor([int(label) for _, label in pairs])


def _arrays(what: str, *given: Any) -> Arrays:
    """Checked tensors of (images, labels) for training and test."""
    try:
        tensors = [torch.as_tensor(one) for one in given]
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{what}: no array of numbers: {brief(str(error), 120)}") from None
    train, test = _samples(what, *tensors[:2]), _samples(what, *tensors[2:])
    if train.images.shape[1:] != test.images.shape[1:]:
        shapes = tuple(train.images.shape[1:]), tuple(test.images.shape[1:])
        raise UserError("{}: training images are {} and test images {}".format(what, *shapes))
    return Arrays(train, test, max(2, int(max(train.labels.max(), test.labels.max())) + 1))


def _samples(what: str, images: Tensor, labels: Tensor) -> Samples:
    if labels.dim() != 1 or labels.dtype.is_floating_point or not len(labels) or int(labels.min()) < 0:
        raise UserError(f"{what}: labels are whole numbers from 0 on, of shape (N,)")
    if images.dim() not in (2, 3, 4) or len(images) != len(labels) or not images[0].numel():
        raise UserError(
            f"{what}: images of shape {tuple(images.shape)} for {len(labels)} labels; they are (N, C, H, W), "
            "(N, H, W) or (N, features)"
        )
    images = images.to(torch.float32)
    if not bool(torch.isfinite(images).all()):
        raise UserError(f"{what}: images hold NaN or infinite numbers")
    # A table's row is an image of 1 x 1 x features.
    shape = (1,) * (4 - images.dim()) + tuple(images.shape[1:])
    return Samples(images.reshape(len(images), *shape).contiguous(), labels.to(torch.int64).contiguous())


DATA_SOURCES: Dict[str, Type[DataSource]] = {**DATASETS, "npz": Npz}
