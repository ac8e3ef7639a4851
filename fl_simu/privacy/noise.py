"""Clipping and noise: the two steps of every Gaussian mechanism."""

import math
from dataclasses import dataclass, replace
from typing import Any, Tuple

import torch

from fl_simu.kernel.limits import require_factor
from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params, floating_of
from fl_simu.kernel.randomness import stream
from fl_simu.ue.transforms.base import Context, Transform
from fl_simu.ue.transforms.gaussian_noise import noisy

# The key of a mechanism's noise; with the number of a UE, or 0 for the BS.
STAGE = "privacy"


def shortened(update: Params, norm: float) -> Tuple[Params, float]:
    r"""An update shortened to a norm C, :math:`u \min(1, C / \lVert u \rVert_2)`, and its norm before.

    The norm is over all tensors together. An update with NaN, or with a norm beyond float64, becomes zeros, so
    none is longer than C.

    Args:
        update: not changed.
        norm: C, the maximum norm.

    Returns:
        Its floating-point tensors, in float64, and a number.
    """
    moved = {name: one.double() for name, one in floating_of(update).items()}
    length = math.sqrt(sum(one.pow(2).sum().item() for one in moved.values()))
    if length <= norm:
        return moved, length
    if not length < math.inf:
        return {name: torch.zeros_like(one) for name, one in moved.items()}, math.inf
    return {name: one * (norm / length) for name, one in moved.items()}, length


def clipped(update: Update, current: Params, norm: float) -> Tuple[Update, float]:
    """An update clipped to a norm, and its norm before.

    Args:
        update: the decoded update.
        current: the model that its UE started from.
        norm: the maximum norm, above 0.
    """
    start = {name: one.double() for name, one in floating_of(current).items()}
    moved = {name: update.params[name].double() - one for name, one in start.items()}
    short, length = shortened(moved, norm)
    if length <= norm:
        return update, length
    params = {name: (start[name] + one).to(current[name].dtype) for name, one in short.items()}
    return replace(update, params={**update.params, **params}), length


def noisy_model(combined: Params, std: float, seed: int, version: int) -> Params:
    """A model with the BS's noise of this round on every floating-point number."""
    return {**combined, **noisy(floating_of(combined), std, stream(seed, STAGE, round=version))}


@dataclass(frozen=True)
class NoisyClip(Transform):
    """The transform of every UE under a mechanism: shorten the update, and add noise with its own draws.

    Args:
        norm: maximum norm of the update before the noise, above 0.
        std: standard deviation of the noise on each number, above 0.
    """

    norm: float
    std: float

    def __post_init__(self) -> None:
        require_factor("norm", self.norm)
        require_factor("std", self.std)

    def apply(self, update: Params, context: Context, memory: Any) -> Tuple[Params, Any]:
        draws = stream(context.key.seed, STAGE, context.key.ue, context.key.round)
        private = noisy(shortened(update, self.norm)[0], self.std, draws)
        return {**update, **{name: one.to(update[name].dtype) for name, one in private.items()}}, memory
