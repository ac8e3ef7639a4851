"""torchvision's image transforms that federated-learning scripts use, as torchvision 0.5 computes them.

Random ones draw from Python's `random`, in torchvision 0.5's order.
"""

import random
from typing import Any, Callable, ClassVar, Dict, Optional, Sequence, Tuple

import torch

from fl_simu.old_scripts import image_functions as functions


class Transform:
    """A transform that prints as in torchvision: its name and the arguments listed in `shown`."""

    shown: ClassVar[Tuple[str, ...]] = ()

    def __call__(self, image: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={getattr(self, name)}" for name in self.shown)
        return f"{type(self).__name__}({arguments})"


class Compose:
    """Several transforms, one after the other."""

    def __init__(self, transforms: Sequence[Callable]) -> None:
        self.transforms = transforms

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image

    def __repr__(self) -> str:
        return "\n".join([type(self).__name__ + "(", *(f"    {one}" for one in self.transforms), ")"])


class ToTensor(Transform):
    """See `functions.to_tensor`."""

    def __call__(self, image: Any) -> torch.Tensor:
        return functions.to_tensor(image)


class ToPILImage(Transform):
    """See `functions.to_pil_image`."""

    def __init__(self, mode: Optional[str] = None) -> None:
        self.mode = mode
        self.shown = () if mode is None else ("mode",)  # type: ignore[misc]

    def __call__(self, image: Any) -> Any:
        return functions.to_pil_image(image, self.mode)


class Normalize(Transform):
    """See `functions.normalize`."""

    shown = ("mean", "std")

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean, self.std, self.inplace = mean, std, inplace

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        return functions.normalize(tensor, self.mean, self.std, self.inplace)


class Resize(Transform):
    """See `functions.resize`."""

    NAMES: ClassVar[Tuple[str, ...]] = ("NEAREST", "LANCZOS", "BILINEAR", "BICUBIC", "BOX", "HAMMING")

    def __init__(self, size: functions.Size, interpolation: int = functions.BILINEAR) -> None:
        self.size, self.interpolation = size, interpolation

    def __call__(self, image: Any) -> Any:
        return functions.resize(image, self.size, self.interpolation)

    def __repr__(self) -> str:
        return f"Resize(size={self.size}, interpolation=PIL.Image.{self.NAMES[self.interpolation]})"


class CenterCrop(Transform):
    """See `functions.center_crop`."""

    shown = ("size",)

    def __init__(self, size: functions.Size) -> None:
        self.size = functions.pair(size)

    def __call__(self, image: Any) -> Any:
        return functions.center_crop(image, self.size)


class Pad(Transform):
    """See `functions.pad`."""

    shown = ("padding", "fill", "padding_mode")

    def __init__(self, padding: functions.Size, fill: functions.Fill = 0, padding_mode: str = "constant") -> None:
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def __call__(self, image: Any) -> Any:
        return functions.pad(image, self.padding, self.fill, self.padding_mode)


class Lambda(Transform):
    """A user-defined function."""

    def __init__(self, lambd: Callable) -> None:
        self.lambd = lambd

    def __call__(self, image: Any) -> Any:
        return self.lambd(image)


class RandomCrop(Transform):
    """A part of a given size at a random place, after padding the image.

    Args:
        size: (height, width), or one number for both.
        padding, fill, padding_mode: as for `functions.pad`.
        pad_if_needed: pad a smaller image on both sides, each time by the full missing length.
    """

    shown = ("size", "padding")

    def __init__(
        self,
        size: functions.Size,
        padding: Optional[functions.Size] = None,
        pad_if_needed: bool = False,
        fill: functions.Fill = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size, self.padding, self.pad_if_needed = functions.pair(size), padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    def __call__(self, image: Any) -> Any:
        functions.require_picture(image, "RandomCrop")
        height, width = self.size
        if self.padding is not None:
            image = functions.pad(image, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            for side, lacks in ((0, (width - image.size[0], 0)), (1, (0, height - image.size[1]))):
                if lacks[side] > 0:
                    image = functions.pad(image, lacks, self.fill, self.padding_mode)
        if (width, height) == image.size:
            return image
        if width > image.size[0] or height > image.size[1]:
            raise ValueError(f"RandomCrop of {height} x {width} from {image.size[1]} x {image.size[0]} pixels")
        top = random.randint(0, image.size[1] - height)
        left = random.randint(0, image.size[0] - width)
        return functions.crop(image, top, left, height, width)


class RandomHorizontalFlip(Transform):
    """Mirror left and right, with probability p."""

    shown = ("p",)
    flip = staticmethod(functions.hflip)

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __call__(self, image: Any) -> Any:
        return self.flip(image) if random.random() < self.p else image


class RandomVerticalFlip(RandomHorizontalFlip):
    """Mirror top and bottom, with probability p."""

    flip = staticmethod(functions.vflip)


class Grayscale(Transform):
    """See `functions.to_grayscale`."""

    shown = ("num_output_channels",)

    def __init__(self, num_output_channels: int = 1) -> None:
        self.num_output_channels = num_output_channels

    def __call__(self, image: Any) -> Any:
        return functions.to_grayscale(image, self.num_output_channels)


TRANSFORMS: Dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        Compose, ToTensor, ToPILImage, Normalize, Resize, CenterCrop, Pad, Lambda, RandomCrop,
        RandomHorizontalFlip, RandomVerticalFlip, Grayscale,
    )
}  # fmt: skip
