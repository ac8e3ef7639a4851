"""torchvision's functions of images, as torchvision 0.5 computes them.

Images are PIL images until `to_tensor`.
"""

import math
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np
import torch

try:
    from PIL import Image
except ImportError:  # reported by the code that needs it
    Image = None  # type: ignore[assignment]

Size = Union[int, Sequence[int]]
Fill = Union[int, Tuple[int, ...]]
# PIL's numbers for them, in every release.
NEAREST, BILINEAR, LEFT_RIGHT, TOP_BOTTOM, AFFINE = 0, 2, 0, 1, 0


def picture(pixels: np.ndarray) -> Any:
    """A PIL image of uint8 (H, W) or (H, W, 3)."""
    if Image is None:
        raise ModuleNotFoundError("images of torchvision are PIL images: `pip install pillow`")
    return Image.fromarray(pixels)


def require_picture(image: Any, transform: str) -> None:
    if Image is None or not isinstance(image, Image.Image):
        kind = f"{type(image).__module__}.{type(image).__qualname__}"
        raise TypeError(f"{transform} takes a PIL image, not a {kind}; it belongs before ToTensor")


def pair(size: Size) -> Tuple[int, int]:
    height, width = (size, size) if isinstance(size, (int, float)) else size
    return int(height), int(width)


def to_tensor(image: Any) -> torch.Tensor:
    """An image, PIL or array of (H, W) or (H, W, C), as (C, H, W); bytes become float32 divided by 255."""
    if isinstance(image, torch.Tensor):
        raise TypeError("ToTensor takes a PIL image or a numpy array, not a tensor")
    pixels = np.array(image)
    if pixels.ndim not in (2, 3):
        raise ValueError(f"ToTensor takes 2 or 3 dimensions, not {pixels.ndim}")
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    tensor = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    return tensor.float().div(255) if tensor.dtype == torch.uint8 else tensor


def to_pil_image(image: Any, mode: Optional[str] = None) -> Any:
    """A tensor of (C, H, W) or (H, W), or an array of (H, W, C) or (H, W), as a grey or RGB image."""
    if isinstance(image, torch.Tensor):
        image = image.mul(255).byte() if image.is_floating_point() else image
        image = (image if image.dim() == 3 else image.unsqueeze(0)).permute(1, 2, 0).cpu().numpy()
    pixels = image if image.ndim == 3 else image[:, :, None]
    made = {1: "L", 3: "RGB"}.get(pixels.shape[-1])
    if made is None or mode not in (None, made) or pixels.dtype != np.uint8:
        raise NotImplementedError("ToPILImage makes grey and RGB images of 8 bits here; others need torchvision")
    return picture(np.ascontiguousarray(pixels[:, :, 0] if made == "L" else pixels))


def normalize(tensor: torch.Tensor, mean: Any, std: Any, inplace: bool = False) -> torch.Tensor:
    """(x - mean) / std, with a mean and a standard deviation per channel."""
    if not isinstance(tensor, torch.Tensor):
        raise TypeError("Normalize takes a tensor; it belongs after ToTensor")
    middle, scale = (torch.as_tensor(one, dtype=tensor.dtype).view(-1, 1, 1) for one in (mean, std))
    return (tensor if inplace else tensor.clone()).sub_(middle).div_(scale)


def resize(image: Any, size: Size, interpolation: int = BILINEAR) -> Any:
    """Resize to (height, width); a single number is the length of the shorter side, and the ratio stays."""
    require_picture(image, "Resize")
    if isinstance(size, int):
        width, height = image.size
        shorter = min(width, height)
        if shorter == size:
            return image
        size = (
            size if height == shorter else int(size * height / width),
            (size if width == shorter else int(size * width / height)),
        )
    height, width = size
    return image.resize((width, height), interpolation)


def pad(image: Any, padding: Size, fill: Fill = 0, padding_mode: str = "constant") -> Any:
    """Pad by this many pixels on all sides; two numbers: left and right, top and bottom; four: each side."""
    require_picture(image, "Pad")
    sides: List[int] = [padding] if isinstance(padding, int) else list(padding)
    if len(sides) not in (1, 2, 4):
        raise ValueError(f"padding is 1, 2 or 4 numbers, not {len(sides)}")
    left, top, right, bottom = sides * (4 // len(sides))
    widths = [(top, bottom), (left, right)]
    if padding_mode != "constant":
        mode: Any = padding_mode
        pixels = np.array(image)
        return picture(np.pad(pixels, widths + [(0, 0)] * (pixels.ndim - 2), mode))
    width, height = image.size
    padded = Image.new(image.mode, (left + width + right, top + height + bottom), fill)
    padded.paste(image, (left, top))
    return padded


def crop(image: Any, top: int, left: int, height: int, width: int) -> Any:
    """A part of the image; pixels outside the image are black."""
    return image.crop((left, top, left + width, top + height))


def center_crop(image: Any, size: Size) -> Any:
    """The middle part."""
    height, width = pair(size)
    require_picture(image, "CenterCrop")
    return crop(image, round((image.size[1] - height) / 2), round((image.size[0] - width) / 2), height, width)


def hflip(image: Any) -> Any:
    """Mirror left and right."""
    require_picture(image, "RandomHorizontalFlip")
    return image.transpose(LEFT_RIGHT)


def vflip(image: Any) -> Any:
    """Mirror top and bottom."""
    require_picture(image, "RandomVerticalFlip")
    return image.transpose(TOP_BOTTOM)


def to_grayscale(image: Any, num_output_channels: int = 1) -> Any:
    """The luma of ITU-R 601-2, in 16 bits and rounded down as in Pillow 6; today's Pillow rounds to nearest."""
    require_picture(image, "Grayscale")
    pixels = np.array(image)
    if pixels.ndim == 3:
        pixels = ((pixels.astype(np.uint32) @ np.array([19595, 38470, 7471], np.uint32)) >> 16).astype(np.uint8)
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    return picture(pixels if num_output_channels == 1 else np.stack([pixels] * 3, -1))


def resized_crop(
    image: Any, top: int, left: int, height: int, width: int, size: Size, interpolation: int = BILINEAR
) -> Any:
    """A part of the image, resized."""
    require_picture(image, "RandomResizedCrop")
    return resize(crop(image, top, left, height, width), size, interpolation)


def rotate(
    image: Any, angle: float, resample: int = NEAREST, expand: bool = False, center: Any = None, fill: Fill = 0
) -> Any:
    """Rotate counter-clockwise by an angle in degrees; pixels from outside the image have the colour `fill`."""
    require_picture(image, "RandomRotation")
    bands = len(image.getbands())
    colour = (fill,) * bands if isinstance(fill, int) and bands > 1 else fill
    return image.rotate(angle, resample, expand, center, fillcolor=colour)


def affine(
    image: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Union[float, Sequence[float]],
    resample: int = NEAREST,
    fillcolor: Optional[Fill] = None,
) -> Any:
    """Rotated and sheared (degrees), scaled about the middle, and moved (pixels)."""
    require_picture(image, "RandomAffine")
    turn = math.radians(angle)
    x_shear, y_shear = (math.radians(one) for one in ((shear, 0) if isinstance(shear, (int, float)) else shear))
    a, c = math.cos(turn - y_shear) / math.cos(y_shear), math.sin(turn - y_shear) / math.cos(y_shear)
    b, d = -a * math.tan(x_shear) - math.sin(turn), -c * math.tan(x_shear) + math.cos(turn)
    # PIL needs the old position of each new pixel: the inverse of ((a, b), (c, d)), whose determinant is 1.
    rows = [[d / scale, -b / scale], [-c / scale, a / scale]]
    middle = [side * 0.5 + 0.5 for side in image.size]
    matrix: List[float] = []
    for row, own in zip(rows, middle):
        shift = sum(factor * (-half - moved) for factor, half, moved in zip(row, middle, translate))
        matrix += [*row, shift + own]
    return image.transform(image.size, AFFINE, matrix, resample, fillcolor=fillcolor)


def adjust_brightness(image: Any, brightness_factor: float) -> Any:
    """Factor 0 gives black, 1 the image."""
    require_picture(image, "ColorJitter")
    return Image.blend(Image.new(image.mode, image.size, 0), image, brightness_factor)


def adjust_contrast(image: Any, contrast_factor: float) -> Any:
    """Factor 0 gives the mean grey, 1 the image."""
    require_picture(image, "ColorJitter")
    mean = int(np.asarray(to_grayscale(image)).mean() + 0.5)
    return Image.blend(Image.new("L", image.size, mean).convert(image.mode), image, contrast_factor)


def adjust_saturation(image: Any, saturation_factor: float) -> Any:
    """Factor 0 gives grey, 1 the image."""
    require_picture(image, "ColorJitter")
    return Image.blend(to_grayscale(image).convert(image.mode), image, saturation_factor)


def adjust_hue(image: Any, hue_factor: float) -> Any:
    """Shift the hue by a fraction of a turn of the colour circle, from -0.5 to 0.5."""
    require_picture(image, "ColorJitter")
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor is between -0.5 and 0.5, not {hue_factor}")
    if image.mode in ("L", "1", "I", "F"):
        return image
    hue, *rest = image.convert("HSV").split()
    turned = (np.asarray(hue).astype(int) + int(hue_factor * 255)) % 256
    return Image.merge("HSV", (picture(turned.astype(np.uint8)), *rest)).convert(image.mode)


def adjust_gamma(image: Any, gamma: float, gain: float = 1) -> Any:
    """255 * gain * (x / 255) ** gamma, rounded down as in Pillow 6."""
    require_picture(image, "adjust_gamma")
    if gamma < 0:
        raise ValueError(f"gamma is 0 or more, not {gamma}")
    levels = [int(255 * gain * (level / 255) ** gamma) for level in range(256)]
    return image.point(levels * len(image.getbands()))


FUNCTIONS: Dict[str, Any] = {
    function.__name__: function
    for function in (
        to_tensor, to_pil_image, normalize, resize, pad, crop, center_crop, hflip, vflip, to_grayscale,
        resized_crop, rotate, affine, adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue,
        adjust_gamma,
    )
}  # fmt: skip
