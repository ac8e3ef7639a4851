"""torchvision's `utils`: arrange many images in a grid, and save it to a file."""

import math
from typing import Any, Dict, Optional, Sequence, Union

import numpy as np
import torch

from fl_simu.old_scripts.image_functions import picture


def make_grid(
    tensor: Union[torch.Tensor, Sequence[torch.Tensor]],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    range: Optional[Sequence[float]] = None,
    scale_each: bool = False,
    pad_value: float = 0,
) -> torch.Tensor:
    """Arrange images in one, row by row.

    Args:
        tensor: (B, C, H, W), or a list of images; (C, H, W) and (H, W) are one image, without a frame.
        nrow: images per row.
        padding: pixels between images and at the edges.
        normalize: scale values to between 0 and 1.
        range: the smallest and largest input value; by default, those of the images.
        scale_each: normalize each image separately.
        pad_value: value of the pixels between images.

    Returns:
        (C, H', W'); grey images get three channels.
    """
    images = tensor if isinstance(tensor, torch.Tensor) else torch.stack(list(tensor))
    images = images if images.dim() > 2 else images[None]
    images = images if images.dim() > 3 else images[None]
    images = torch.cat([images] * 3, 1) if images.shape[1] == 1 else images
    if normalize:
        images = images.clone()
        for part in images if scale_each else [images]:
            low, high = range if range is not None else (float(part.min()), float(part.max()))
            part.clamp_(min=low, max=high).add_(-low).div_(high - low + 1e-5)
    count, channels, height, width = images.shape
    if count == 1:
        return images[0]
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    step_down, step_across = height + padding, width + padding
    grid = images.new_full((channels, step_down * rows + padding, step_across * columns + padding), pad_value)
    for at, image in enumerate(images):
        top, left = at // columns * step_down + padding, at % columns * step_across + padding
        grid[:, top : top + height, left : left + width] = image
    return grid


def save_image(
    tensor: Any,
    fp: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    range: Optional[Sequence[float]] = None,
    scale_each: bool = False,
    pad_value: float = 0,
    format: Optional[str] = None,
) -> None:
    """Save the grid of `make_grid`, with values between 0 and 1, to a file with 8 bits per value."""
    grid = make_grid(tensor, nrow, padding, normalize, range, scale_each, pad_value)
    pixels = grid.detach().mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to("cpu", torch.uint8).numpy()
    picture(np.ascontiguousarray(pixels)).save(fp, format=format)


UTILS: Dict[str, Any] = {function.__name__: function for function in (make_grid, save_image)}
