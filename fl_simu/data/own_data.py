"""Users' data: tensors, torch data sets, an NPZ file, or a function that returns data."""

import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple, Type

import numpy as np
import torch
from torch import Tensor

from fl_simu.data.datasets import DATASETS, Dataset, DataSource, Samples, Shape
from fl_simu.data.formats import read_arrays, told_as_damage
from fl_simu.data.leaf import LeafFemnist, LeafSent140, LeafShakespeare, LeafSynthetic
from fl_simu.data.synthetic import Synthetic
from fl_simu.kernel.errors import UserError, brief, shown
from fl_simu.parts import Adapted, called_with

# More than a machine for typical use can hold.
MOST_BYTES = 2**36
KEYS = ("x_train", "y_train", "x_test", "y_test")


class Arrays(NamedTuple):
    """A data set in memory, and its properties."""

    train: Samples
    test: Samples
    classes: int

    @property
    def shape(self) -> Shape:
        """Shape of one image, (C, H, W)."""
        _, channels, height, width = self.train.images.shape
        return channels, height, width


class _Own(DataSource):
    """Common part of users' data sources: shape and classes are those of the data."""

    def arrays(self) -> Arrays:
        """The data, created or read once."""
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
        """A few words for the origin of the data."""
        return "one's own"


@dataclass(frozen=True)
class Npz(_Own):
    """Arrays of an NPZ file: x_train, y_train, x_test, y_test, and optionally ue_train.

    Images have shape (N, C, H, W) or (N, H, W). Rows of a table (N, features) count as images of 1 x 1 x features.
    Both become float32, and are not scaled. Labels are whole numbers from 0 on, shape (N,). The optional
    `ue_train`, shape (N,), gives the UE of each training sample, counted from 0; the partition `by_ue` uses it.
    `numpy.savez` writes such a file. In a TOML file, a function of a file or module may be named here instead; see
    docs/how-to/data.md.

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
    train, test = (_samples(path, found["x_" + part], found["y_" + part]) for part in ("train", "test"))
    if "ue_train" in found:
        ues = _whole(_tensor(path, found["ue_train"]), len(train))
        if ues is None:
            count = len(train)
            raise UserError(f"{path}: ue_train is the UE of each training sample: {count} whole numbers from 0 on")
        train = replace(train, ues=ues)
    return _arrays(path, train, test)


@dataclass(frozen=True, eq=False)
class OwnData(Adapted, _Own):
    """A training and a test set, each a pair (images, labels) of tensors or arrays, or a torch data set of such
    pairs; or a function that returns the two. The training set may be a dict of such sets, one for each UE from 0
    on: the partition `by_ue` gives each UE its own.

    Args:
        given: (training set, test set), or a function that returns them.
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
            what = f"data {self.name}"
            made = _arrays(what, _training(what, train), _samples(what, *_split(what, test)))
            object.__setattr__(self, "_made", made)
        return self.__dict__["_made"]


def adapt(found: Any, arguments: Mapping[str, Any]) -> Optional[OwnData]:
    """The data that a callable returns with these arguments, or that are in a pair; None for anything else.

    Raises:
        UserError: the callable does not have these arguments.
    """
    if isinstance(found, (tuple, list)) and len(found) == 2:
        return OwnData(tuple(found))
    options = called_with("data", found, arguments)
    return None if options is None else OwnData(found, options)


def _training(what: str, given: Any) -> Samples:
    """One training set, or the sets of a dict by UE, one after the other."""
    if not isinstance(given, Mapping):
        return _samples(what, *_split(what, given))
    if not given or set(given) != set(range(len(given))):
        raise UserError(f"{what}: the keys of training sets by UE are the UEs 0, 1, 2, ...")
    parts = []
    for ue in range(len(given)):
        part = _samples(f"{what}, UE {ue}", *_split(f"{what}, UE {ue}", given[ue]))
        parts.append(part)
        _require_alike(what, "images of UE 0", parts[0], f"those of UE {ue}", part)
    owners = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    images, labels = (torch.cat([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    return Samples(images, labels, torch.from_numpy(owners))


def _split(what: str, part: Any) -> Tuple[Any, Any]:
    """Images and labels of a pair of arrays, or of a torch data set."""
    if isinstance(part, (tuple, list)) and len(part) == 2:
        return part[0], part[1]
    allowed = "(images, labels), or a torch data set of such pairs"
    if isinstance(part, Mapping) or not (hasattr(part, "__getitem__") and hasattr(part, "__len__")):
        raise UserError(f"{what} is not allowed: {allowed}")
    pairs: List[Any] = [part[place] for place in range(len(part))]
    if not pairs:
        raise UserError(f"{what}: a data set without a sample")
    try:
        images = torch.stack([torch.as_tensor(np.asarray(image)) for image, _ in pairs])
        return images, torch.tensor([int(label) for _, label in pairs])
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{what} is not allowed: {allowed} ({brief(str(error), 120)})") from None


def _arrays(what: str, train: Samples, test: Samples) -> Arrays:
    _require_alike(what, "training images", train, "test images", test)
    return Arrays(train, test, max(2, int(max(train.labels.max(), test.labels.max())) + 1))


def _require_alike(what: str, one: str, first: Samples, other: str, second: Samples) -> None:
    shapes = tuple(first.images.shape[1:]), tuple(second.images.shape[1:])
    if shapes[0] != shapes[1]:
        raise UserError(f"{what}: {one} are {shapes[0]} and {other} {shapes[1]}")


def _samples(what: str, images: Any, labels: Any) -> Samples:
    """Images and labels as checked tensors."""
    images, labels = _tensor(what, images), _tensor(what, labels)
    classes = _whole(labels, len(labels) if labels.dim() else 0)
    if classes is None:
        raise UserError(f"{what}: labels are whole numbers from 0 on, of shape (N,)")
    if images.dim() not in (2, 3, 4) or len(images) != len(labels) or not images[0].numel():
        raise UserError(
            f"{what}: images of shape {tuple(images.shape)} for {len(labels)} labels; they are (N, C, H, W), "
            "(N, H, W) or (N, features)"
        )
    images = images.to(torch.float32)
    if not bool(torch.isfinite(images).all()):
        raise UserError(f"{what}: images hold NaN or infinite numbers")
    # A row of a table is an image of 1 x 1 x features.
    shape = (1,) * (4 - images.dim()) + tuple(images.shape[1:])
    return Samples(images.reshape(len(images), *shape).contiguous(), classes)


def _tensor(what: str, given: Any) -> Tensor:
    try:
        return torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{what}: no array of numbers: {brief(str(error), 120)}") from None


def _whole(numbers: Tensor, count: int) -> Optional[Tensor]:
    """A number of whole numbers from 0 on as int64, at least one; None for anything else."""
    if tuple(numbers.shape) != (count,) or not count or numbers.dtype.is_floating_point:
        return None
    whole = numbers.to(torch.int64).contiguous()
    return whole if int(whole.min()) >= 0 else None


DATA_SOURCES: Dict[str, Type[DataSource]] = {
    **DATASETS,
    "synthetic": Synthetic,
    "npz": Npz,
    "leaf_femnist": LeafFemnist,
    "leaf_shakespeare": LeafShakespeare,
    "leaf_sent140": LeafSent140,
    "leaf_synthetic": LeafSynthetic,
}
