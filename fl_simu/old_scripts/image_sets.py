"""torchvision's data sets with its names and arguments, read by fl_simu's own readers.

The hosts from which torchvision 0.5 downloads MNIST no longer exist. These classes look in the folder that a
script gives, then in the places of fl_simu's data sets, and download from a mirror that still works.
"""

import functools
import os
from pathlib import Path
from typing import Any, Callable, ClassVar, Dict, List, Optional, Tuple, Type

import numpy as np
import torch
from torch.utils.data import Dataset

from fl_simu.data.datasets import DATASETS, ImageSet
from fl_simu.data.downloads import find
from fl_simu.old_scripts.image_functions import picture
from fl_simu.old_scripts.notices import Tell

DIGITS = "0 - zero|1 - one|2 - two|3 - three|4 - four|5 - five|6 - six|7 - seven|8 - eight|9 - nine"
CLOTHES = "T-shirt/top|Trouser|Pullover|Dress|Coat|Sandal|Shirt|Sneaker|Bag|Ankle boot"
TEN = "airplane|automobile|bird|cat|deer|dog|frog|horse|ship|truck"
HUNDRED = (
    "apple|aquarium_fish|baby|bear|beaver|bed|bee|beetle|bicycle|bottle|bowl|boy|bridge|bus|butterfly|camel|can|"
    "castle|caterpillar|cattle|chair|chimpanzee|clock|cloud|cockroach|couch|crab|crocodile|cup|dinosaur|dolphin|"
    "elephant|flatfish|forest|fox|girl|hamster|house|kangaroo|keyboard|lamp|lawn_mower|leopard|lion|lizard|lobster|"
    "man|maple_tree|motorcycle|mountain|mouse|mushroom|oak_tree|orange|orchid|otter|palm_tree|pear|pickup_truck|"
    "pine_tree|plain|plate|poppy|porcupine|possum|rabbit|raccoon|ray|road|rocket|rose|sea|seal|shark|shrew|skunk|"
    "skyscraper|snail|snake|spider|squirrel|streetcar|sunflower|sweet_pepper|table|tank|telephone|television|tiger|"
    "tractor|train|trout|tulip|turtle|wardrobe|whale|willow_tree|wolf|woman|worm"
)


class VisionDataset(Dataset):
    """The common base of torchvision's data sets, which a script's own data sets may inherit from."""

    def __init__(
        self,
        root: Any,
        transforms: Optional[Callable] = None,
        transform: Optional[Callable] = None,
        target_transform: Optional[Callable] = None,
    ) -> None:
        self.root = os.path.expanduser(root) if isinstance(root, str) else root
        self.transforms, self.transform, self.target_transform = transforms, transform, target_transform

    def __len__(self) -> int:
        raise NotImplementedError

    def extra_repr(self) -> str:
        """Further lines of the printed form."""
        return ""

    def __repr__(self) -> str:
        lines = [
            f"Number of datapoints: {len(self)}",
            f"Root location: {self.root}",
            *self.extra_repr().splitlines(),
        ]
        below = []
        for title, transform in (("Transform: ", self.transform), ("Target transform: ", self.target_transform)):
            if transform is not None:
                below.append(title + repr(transform).replace("\n", "\n" + " " * len(title)))
        lines += ["StandardTransform"] if below else []
        return "\n".join([f"Dataset {type(self).__name__}", *("    " + line for line in lines), *below])


class _Images(VisionDataset):
    """A data set of labelled images.

    Args:
        root: searched first, if it is a folder with the complete set.
        train: whether to use the training images instead of the test images.
        transform, target_transform: applied to each PIL image and label.
        download: has no effect: files that are found nowhere are always downloaded from a working mirror.

    Attributes:
        data: the pixels, uint8: a tensor (N, H, W) for grey images, otherwise an array (N, H, W, C).
        targets: the labels: an int64 tensor for grey images, otherwise a list.
        classes: the names of the classes.
    """

    source: ClassVar[Type[ImageSet]]
    names: ClassVar[str]
    data_dir: ClassVar[Optional[Path]]
    limit: ClassVar[Optional[int]]
    tell: ClassVar[Tell]
    data: Any
    targets: Any

    def __init__(
        self,
        root: Any,
        train: bool = True,
        transform: Optional[Callable] = None,
        target_transform: Optional[Callable] = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, None, transform, target_transform)
        self.train = train
        self.classes = self.names.split("|")
        parts, where = _read(self.source, _folder(self.source, self.root, self.data_dir))
        pixels, labels = parts[0 if train else 1]
        title, held = f"torchvision.datasets.{self._title()}", len(labels)
        type(self).tell(f"{title}: {where}")
        kept = held if self.limit is None else min(held, self.limit)
        if kept < held:
            part = "training" if train else "test"
            type(self).tell(f"{title}: the first {kept:,} of {held:,} {part} images, by --limit")
        self._hold(pixels[:kept].copy(), labels[:kept].copy())

    @classmethod
    def _title(cls) -> str:
        """The class's name in torchvision, also for a script's own subclass."""
        return next(kind.__name__ for kind in cls.__mro__ if "names" in vars(kind))

    def _hold(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        raise NotImplementedError

    @property
    def class_to_idx(self) -> Dict[str, int]:
        """Label of each class."""
        return {name: label for label, name in enumerate(self.classes)}

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        image, target = picture(np.asarray(self.data[index])), int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def extra_repr(self) -> str:
        return "Split: " + ("Train" if self.train else "Test")


class _Grey(_Images):
    def _hold(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.data = torch.from_numpy(pixels.reshape(-1, *self.source.shape[1:]))
        self.targets = torch.from_numpy(labels.astype(np.int64))

    train_data = test_data = property(lambda self: self.data)
    train_labels = test_labels = property(lambda self: self.targets)


class _Coloured(_Images):
    def _hold(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.data = np.ascontiguousarray(pixels.reshape(-1, *self.source.shape).transpose(0, 2, 3, 1))
        self.targets = labels.tolist()


def _folder(source: Type[ImageSet], root: Any, data_dir: Optional[Path]) -> Optional[Path]:
    """The folder to search first: the script's, if it holds the complete set, else that of the command line."""
    assert source.files is not None
    if isinstance(root, (str, os.PathLike)) and os.path.isdir(root):
        found = find(source.files, Path(root))
        if all(path is not None and Path(root) in path.parents for path in found):
            return Path(root)
    return data_dir


Part = Tuple[np.ndarray, np.ndarray]


@functools.lru_cache(maxsize=2)
def _read(source: Type[ImageSet], folder: Optional[Path]) -> Tuple[List[Part], str]:
    """Bytes and labels of the training and test parts, and where they came from."""
    train, test, where = source().read(folder)
    return [_joined(train), _joined(test)], where


def _joined(chunks: List[Part]) -> Part:
    images, labels = zip(*chunks)
    return (images[0], labels[0]) if len(chunks) == 1 else (np.concatenate(images), np.concatenate(labels))


def classes(data_dir: Optional[Path], limit: Optional[int], tell: Tell) -> Dict[str, type]:
    """The data set classes by their names in torchvision.

    Args:
        data_dir: folder to search before $FL_SIMU_DATA and the user's cache.
        limit: use only this many images of each data set.
        tell: called with a line that says where the images come from.
    """
    settings = {"data_dir": data_dir, "limit": limit, "tell": staticmethod(tell)}
    rows = (
        ("MNIST", _Grey, "mnist", DIGITS), ("FashionMNIST", _Grey, "fashion_mnist", CLOTHES),
        ("CIFAR10", _Coloured, "cifar10", TEN), ("CIFAR100", _Coloured, "cifar100", HUNDRED),
    )  # fmt: skip
    made: Dict[str, type] = {}
    for title, kind, source, names in rows:
        fields = {**settings, "source": DATASETS[source], "names": names, "__module__": "torchvision.datasets"}
        made[title] = type(title, (kind,), fields)
    return made
