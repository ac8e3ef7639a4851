"""The parts of torchvision that federated-learning scripts use on MNIST, for `exec`.

torchvision 0.5.0 downloads MNIST from a host that is gone; where torchvision is not installed, `datasets.MNIST`,
`datasets.FashionMNIST` and the transforms ToTensor, Normalize and Compose need none of it.
"""

import os
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, ClassVar, Dict, Optional, Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from fl_simu.data.datasets import DATASETS, fetch
from fl_simu.data.formats import read_idx

Tell = Callable[[str], None]


class _IdxImages(Dataset):
    """A data set of idx files, with torchvision's arguments and attributes.

    Args:
        root: searched first, if it is a folder.
        train: the 60,000 training images; else the 10,000 test images.
        transform, target_transform: done to each image (PIL, or uint8 (28, 28) without Pillow) and label.
        download: has no effect: what is nowhere is downloaded from a mirror that still answers.
    """

    title: ClassVar[str]
    set_name: ClassVar[str]
    data_dir: ClassVar[Optional[Path]]
    tell: ClassVar[Tell]

    def __init__(
        self,
        root: Any,
        train: bool = True,
        transform: Optional[Callable] = None,
        target_transform: Optional[Callable] = None,
        download: bool = False,
    ) -> None:
        self.root, self.train, self.transform, self.target_transform = root, train, transform, target_transform
        paths = fetch(self.set_name, Path(root) if os.path.isdir(str(root)) else self.data_dir)
        type(self).tell(f"torchvision.datasets.{self.title} is read from {paths[0].parent}")
        images, labels = paths[:2] if train else paths[2:]
        size = DATASETS[self.set_name].sizes[0 if train else 1]
        self.data = torch.from_numpy(read_idx(images, (size, 28, 28)))
        self.targets = torch.from_numpy(read_idx(labels, (size,)).astype(np.int64))

    train_data = test_data = property(lambda self: self.data)
    train_labels = test_labels = property(lambda self: self.targets)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        image, target = _picture(self.data[index].numpy()), int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target


def _picture(pixels: np.ndarray) -> Any:
    try:
        from PIL import Image
    except ImportError:
        return pixels
    return Image.fromarray(pixels)


def datasets(data_dir: Optional[Path], tell: Tell) -> Dict[str, type]:
    """Classes by the name that torchvision gives them."""
    shared = {"data_dir": data_dir, "tell": staticmethod(tell)}
    return {
        title: type(title, (_IdxImages,), {**shared, "title": title, "set_name": set_name})
        for title, set_name in (("MNIST", "mnist"), ("FashionMNIST", "fashion_mnist"))
    }


class Compose:
    """Several transforms, one after the other."""

    def __init__(self, transforms: Sequence[Callable]) -> None:
        self.transforms = transforms

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image


class ToTensor:
    """An image, PIL or array of (H, W) or (H, W, C), as float32 (C, H, W); bytes are divided by 255."""

    def __call__(self, image: Any) -> torch.Tensor:
        pixels = np.array(image)
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
        return tensor.float().div(255) if tensor.dtype == torch.uint8 else tensor


class Normalize:
    """(x - mean) / std, a mean and a deviation for each channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean, self.std = (torch.tensor(list(values)).view(-1, 1, 1) for values in (mean, std))

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        return (image - self.mean) / self.std


def modules(sets: Dict[str, type], tell: Tell) -> Dict[str, ModuleType]:
    """The modules of a torchvision that has these data sets and transforms, and refuses to do more."""
    parts: Dict[str, Dict[str, Any]] = {
        "datasets": dict(sets),
        "transforms": {"Compose": Compose, "ToTensor": ToTensor, "Normalize": Normalize},
        "models": {},
        "utils": {},
    }
    made = {f"torchvision.{name}": _module(f"torchvision.{name}", parts[name]) for name in parts}
    children = {name.rpartition(".")[2]: module for name, module in made.items()}
    return {"torchvision": _module("torchvision", {**children, "__path__": []}), **made}


def _module(name: str, contents: Dict[str, Any]) -> ModuleType:
    def refuse(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)

        def method(*_: Any, **__: Any) -> Any:
            raise NotImplementedError(f"{name}.{attribute} needs torchvision, which is not installed")

        return method

    module = ModuleType(name)
    vars(module).update(contents, __getattr__=refuse)
    return module
