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

# What the noise of a mechanism is keyed by; of a UE with its number, of the BS with 0.
STAGE = "privacy"


def shortened(update: Params, norm: float) -> Tuple[Params, float]:
    r"""An update that is at most so long, :math:`u \min(1, C / \lVert u \rVert_2)`, and the length that it had.

    All tensors count together. An update with NaN, or of a length that no float64 holds, becomes zeros, so that
    none is longer.

    Args:
        update: not changed.
        norm: C.

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
    """An update of at most this norm, and the norm that it had.

    Args:
        update: as decoded.
        current: the model that its UE started from.
        norm: above 0.
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
    """What a mechanism lets every UE do: shorten the update, and add noise with draws of its own.

    Args:
        norm: of the update before the noise, at most; above 0.
        std: of the noise on each number, above 0.
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
