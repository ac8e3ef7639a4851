"""torchvision's random transforms of an image's position, shape or colour, as torchvision 0.5 computes them.

They draw from Python's `random`, in torchvision 0.5's order.
"""

import math
import random
from typing import Any, Callable, Dict, Optional, Sequence, Tuple, Union

import torch

from fl_simu.old_scripts import image_functions as functions
from fl_simu.old_scripts.image_transforms import Compose, Resize, Transform

Span = Union[float, Sequence[float]]


def around(name: str, value: Span, lengths: Tuple[int, ...] = (2,)) -> Any:
    """The interval that a value stands for: a single number means from minus itself to itself.

    Raises:
        ValueError: the number is negative, or the sequence has a wrong length.
    """
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"{name} is 0 or more, or an interval, not {value}")
        return (-value, value)
    if len(value) not in lengths:
        raise ValueError(f"{name} is a number or an interval, not {value}")
    return value


class RandomRotation(Transform):
    """See `functions.rotate`.

    Args:
        degrees: maximum rotation in either direction, or an interval.
        resample, expand, center, fill: as for `functions.rotate`.
    """

    def __init__(
        self,
        degrees: Span,
        resample: int = False,
        expand: bool = False,
        center: Any = None,
        fill: functions.Fill = 0,
    ) -> None:
        self.degrees, self.resample, self.expand = around("degrees", degrees), resample, expand
        self.center, self.fill = center, fill
        self.shown = ("degrees", "resample", "expand", *(("center",) if center is not None else ()))  # type: ignore[misc]

    def __call__(self, image: Any) -> Any:
        angle = random.uniform(*self.degrees)
        return functions.rotate(image, angle, self.resample, self.expand, self.center, self.fill)


class RandomAffine(Transform):
    """See `functions.affine`.

    Args:
        degrees: maximum rotation in either direction, or an interval.
        translate: maximum horizontal and vertical shifts, as fractions of the width and height.
        scale: an interval.
        shear: maximum shear along x in degrees, or an interval, or one interval along x and one along y.
        resample, fillcolor: as for `functions.affine`.
    """

    def __init__(
        self,
        degrees: Span,
        translate: Optional[Sequence[float]] = None,
        scale: Optional[Sequence[float]] = None,
        shear: Optional[Span] = None,
        resample: int = False,
        fillcolor: functions.Fill = 0,
    ) -> None:
        if translate is not None and not all(0 <= share <= 1 for share in translate):
            raise ValueError(f"translate is two shares between 0 and 1, not {translate}")
        if scale is not None and min(scale) <= 0:
            raise ValueError(f"scale is an interval above 0, not {scale}")
        self.degrees, self.translate, self.scale = around("degrees", degrees), translate, scale
        self.shear = None if shear is None else around("shear", shear, (2, 4))
        if self.shear is not None and not isinstance(shear, (int, float)):
            self.shear = [*self.shear, 0.0, 0.0][:4]
        self.resample, self.fillcolor = resample, fillcolor

    def __call__(self, image: Any) -> Any:
        angle = random.uniform(*self.degrees)
        move: Sequence[float] = (0, 0)
        if self.translate is not None:
            reach = [share * side for share, side in zip(self.translate, image.size)]
            move = [float(round(random.uniform(-one, one))) for one in reach]
        scale = 1.0 if self.scale is None else random.uniform(*self.scale)
        ends = self.shear or (0.0, 0.0)
        shears = [random.uniform(*ends[at : at + 2]) for at in range(0, len(ends), 2)] if self.shear else [0.0]
        return functions.affine(image, angle, move, scale, (*shears, 0.0)[:2], self.resample, self.fillcolor)

    def __repr__(self) -> str:
        text = f"RandomAffine(degrees={self.degrees}"
        for name in ("translate", "scale", "shear"):
            text += "" if getattr(self, name) is None else f", {name}={getattr(self, name)}"
        if self.resample > 0:
            text += f", resample=PIL.Image.{Resize.NAMES[self.resample]}"
        return text + (f", fillcolor={self.fillcolor}" if self.fillcolor != 0 else "") + ")"


class RandomResizedCrop(Transform):
    """A part of random size and shape, at a random place, resized; after ten draws that do not fit, the middle.

    Args:
        size: (height, width), or one number for both.
        scale: area of the part, as a fraction of the image's.
        ratio: width of the part divided by its height.
        interpolation: as for `functions.resize`.
    """

    def __init__(
        self,
        size: functions.Size,
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3 / 4, 4 / 3),
        interpolation: int = functions.BILINEAR,
    ) -> None:
        self.size = functions.pair(size)
        self.scale, self.ratio, self.interpolation = scale, ratio, interpolation

    def part(self, width: int, height: int) -> Tuple[int, int, int, int]:
        """Top, left, height and width of the part."""
        logarithms = [math.log(end) for end in self.ratio]
        for _ in range(10):
            area = random.uniform(*self.scale) * (width * height)
            ratio = math.exp(random.uniform(*logarithms))
            across, down = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < across <= width and 0 < down <= height:
                top = random.randint(0, height - down)
                return top, random.randint(0, width - across), down, across
        across, down = width, height
        if width / height < min(self.ratio):
            down = round(width / min(self.ratio))
        elif width / height > max(self.ratio):
            across = round(height * max(self.ratio))
        return (height - down) // 2, (width - across) // 2, down, across

    def __call__(self, image: Any) -> Any:
        functions.require_picture(image, "RandomResizedCrop")
        return functions.resized_crop(image, *self.part(*image.size), self.size, self.interpolation)

    def __repr__(self) -> str:
        scale, ratio = (tuple(round(end, 4) for end in ends) for ends in (self.scale, self.ratio))
        name = Resize.NAMES[self.interpolation]
        return f"RandomResizedCrop(size={self.size}, scale={scale}, ratio={ratio}, interpolation=PIL.Image.{name})"


class ColorJitter(Transform):
    """Brightness, contrast, saturation and hue changed by random factors, in a random order.

    Args:
        brightness, contrast, saturation: maximum deviation from 1, or an interval.
        hue: maximum deviation from 0, or an interval, in turns of the colour circle.
    """

    shown = ("brightness", "contrast", "saturation", "hue")

    def __init__(self, brightness: Span = 0, contrast: Span = 0, saturation: Span = 0, hue: Span = 0) -> None:
        self.brightness = _about("brightness", brightness, 1)
        self.contrast = _about("contrast", contrast, 1)
        self.saturation = _about("saturation", saturation, 1)
        self.hue = _about("hue", hue, 0)

    def __call__(self, image: Any) -> Any:
        changes = []
        for name in self.shown:
            ends = getattr(self, name)
            if ends is not None:
                changes.append((functions.FUNCTIONS[f"adjust_{name}"], random.uniform(*ends)))
        random.shuffle(changes)
        for change, factor in changes:
            image = change(image, factor)
        return image


def _about(name: str, value: Span, middle: float) -> Optional[Sequence[float]]:
    """The interval of a factor; None if it would change nothing."""
    least, most = (0, math.inf) if middle else (-0.5, 0.5)
    if isinstance(value, (int, float)):
        low, high = around(name, value)
        ends: Sequence[float] = [max(middle + low, 0) if middle else low, middle + high]
    else:
        ends = around(name, value)
    if not least <= ends[0] <= ends[1] <= most:
        raise ValueError(f"{name} lies between {least} and {most}, not {value}")
    return None if ends[0] == ends[1] == middle else ends


class _Several(Compose):
    """Several transforms, printed as Compose prints them."""


class RandomApply(_Several):
    """All transforms with probability p, otherwise none."""

    def __init__(self, transforms: Sequence[Callable], p: float = 0.5) -> None:
        super().__init__(transforms)
        self.p = p

    def __call__(self, image: Any) -> Any:
        return image if self.p < random.random() else super().__call__(image)

    def __repr__(self) -> str:
        return super().__repr__().replace("(", f"(\n    p={self.p}", 1)


class RandomChoice(_Several):
    """One of the transforms, chosen at random."""

    def __call__(self, image: Any) -> Any:
        return random.choice(self.transforms)(image)


class RandomOrder(_Several):
    """All transforms in a random order."""

    def __call__(self, image: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for at in order:
            image = self.transforms[at](image)
        return image


class RandomGrayscale(Transform):
    """Convert to grey with probability p; the number of channels stays."""

    shown = ("p",)

    def __init__(self, p: float = 0.1) -> None:
        self.p = p

    def __call__(self, image: Any) -> Any:
        functions.require_picture(image, "RandomGrayscale")
        channels = 1 if image.mode == "L" else 3
        return functions.to_grayscale(image, channels) if random.random() < self.p else image


class RandomErasing:
    """Overwrite a part of a (C, H, W) tensor, with probability p.

    Args:
        p: the probability.
        scale: area of the part, as a fraction of the image's.
        ratio: height of the part divided by its width.
        value: the new value, one number or one per channel; "random": normal noise from torch's generator.
        inplace: overwrite the tensor itself.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        if not 0 <= p <= 1 or min(scale) < 0 or max(scale) > 1:
            raise ValueError(f"p and scale lie between 0 and 1, not {p} and {scale}")
        self.p, self.scale, self.ratio, self.value, self.inplace = p, scale, ratio, value, inplace

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        if random.uniform(0, 1) >= self.p:
            return image
        channels, height, width = image.shape
        for _ in range(10):
            area = random.uniform(*self.scale) * (height * width)
            ratio = random.uniform(*self.ratio)
            down, across = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if down < height and across < width:
                top, left = random.randint(0, height - down), random.randint(0, width - across)
                image = image if self.inplace else image.clone()
                image[:, top : top + down, left : left + across] = self._written(channels, down, across)
                return image
        return image

    def _written(self, channels: int, height: int, width: int) -> Any:
        if isinstance(self.value, str):
            return torch.empty(channels, height, width).normal_()
        return self.value if isinstance(self.value, (int, float)) else torch.tensor(self.value).view(-1, 1, 1)


AUGMENTATIONS: Dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        RandomRotation, RandomAffine, RandomResizedCrop, ColorJitter, RandomApply, RandomChoice, RandomOrder,
        RandomGrayscale, RandomErasing,
    )
}  # fmt: skip
