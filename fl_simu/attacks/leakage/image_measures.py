"""Similarity of reconstructed images and true ones."""

import math
from typing import Any, Callable, NamedTuple, Tuple

import numpy as np
from torch import Tensor

from fl_simu.kernel.errors import UserError
from fl_simu.kernel.packages import install_command


class Likeness(NamedTuple):
    """Similarity of images and true ones, each compared with the true image that it is assigned to.

    Args:
        mse: mean squared error per pixel, pixels in 0..1.
        psnr_db: peak signal-to-noise ratio, -10 log10(mse) [dB]; infinite if they are the same.
        ssim: structural similarity, mean over the images; NaN if a pixel is so wrong that it is undefined.
    """

    mse: float
    psnr_db: float
    ssim: float


def squared_errors(truth: Tensor, images: Tensor) -> np.ndarray:
    """Mean squared error of each image from each true one, float64, shape (true, image)."""
    true, made = (one.detach().double().reshape(len(one), 1, -1) for one in (truth, images))
    return (true - made.transpose(0, 1)).pow(2).mean(dim=2).numpy()


def best_match(truth: Tensor, images: Tensor) -> Tuple[np.ndarray, float]:
    """The image for each true one such that the mean squared error of all is smallest, and this error.

    A gradient does not reveal the order of the images in a batch.
    """
    errors, order = squared_errors(truth, images), np.zeros(1, dtype=np.int64)
    if len(truth) > 1:
        from scipy.optimize import linear_sum_assignment

        order = linear_sum_assignment(errors)[1]
    return order, float(errors[np.arange(len(order)), order].mean())


def best_order(truth: Tensor, images: Tensor) -> np.ndarray:
    """The image for each true one, in the best order."""
    return best_match(truth, images)[0]


def mean_squared_error(truth: Tensor, images: Tensor) -> float:
    """Mean squared error of all images in their best order."""
    return best_match(truth, images)[1]


def likeness(truth: Tensor, images: Tensor) -> Likeness:
    """Compare finite images with the true ones, shape (B, C, H, W), pixels of the true ones in 0..1.

    Pixels outside 0..1 are not clipped.

    Raises:
        UserError: scikit-image is missing, or an image is smaller than the 7x7 window of SSIM.
    """
    order, mse = best_match(truth, images)
    psnr_db = -10 * math.log10(mse) if mse else math.inf
    pairs = zip(truth.double().numpy(), images[order].detach().double().numpy())
    return Likeness(mse, psnr_db, float(np.mean([structural_similarity(true, made) for true, made in pairs])))


def structural_similarity(true: np.ndarray, made: np.ndarray) -> float:
    """Structural similarity of two images (C, H, W), mean over the channels, by scikit-image's defaults.

    Reference: Wang, Bovik, Sheikh, Simoncelli 2004.
    """
    similarity = scikit_image_ssim()
    if min(true.shape[1:]) < 7:
        raise UserError(f"images of {true.shape[1]}x{true.shape[2]} are too small for SSIM: at least 7x7")
    with np.errstate(over="ignore", invalid="ignore"):
        return float(similarity(true, made, data_range=1.0, channel_axis=0))


def scikit_image_ssim() -> Callable[..., Any]:
    """scikit-image's structural similarity.

    Raises:
        UserError: scikit-image is missing.
    """
    try:
        from skimage.metrics import structural_similarity as similarity
    except ImportError as error:
        told = f"scikit-image is missing, which measures SSIM: `{install_command('skimage')}`"
        raise UserError(told) from error
    return similarity


def found_labels(truth: Tensor, labels: Tensor, images: Tensor, targets: Tensor) -> int:
    """The number of labels found: the most probable label of each image is compared with that of its true image.

    Args:
        truth, images: shape (B, C, H, W).
        labels: the true labels, shape (B,).
        targets: the probabilities found, shape (B, classes).
    """
    return int((targets.argmax(dim=1)[best_order(truth, images)] == labels).sum())
