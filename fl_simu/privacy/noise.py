"""Clipping and noise: the two steps of every Gaussian mechanism."""

import math
from dataclasses import dataclass, replace
from typing import Any, Tuple

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import LARGEST
from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params, floating_of
from fl_simu.kernel.randomness import stream
from fl_simu.ue.transforms.base import Context, Transform
from fl_simu.ue.transforms.gaussian_noise import noisy

# What the noise of a mechanism is keyed by; of a UE with its number, of the BS with 0.
STAGE = "privacy"


def clipped(update: Update, current: Params, norm: float) -> Tuple[Update, float]:
    r"""An update of at most this norm, :math:`u \min(1, C / \lVert u \rVert_2)`, and the norm that it had.

    Over all floating-point tensors together, in float64. One whose norm no float64 holds counts as nothing.

    Args:
        update: as decoded.
        current: the model that its UE started from.
        norm: C.
    """
    moved = {name: one.double() - current[name].double() for name, one in floating_of(update.params).items()}
    length = math.sqrt(sum(one.pow(2).sum().item() for one in moved.values()))
    if length <= norm:
        return update, length
    if not length < math.inf:
        return replace(update, params={**update.params, **{name: current[name] for name in moved}}), math.inf
    short = {
        name: (current[name].double() + one * (norm / length)).to(current[name].dtype)
        for name, one in moved.items()
    }
    return replace(update, params={**update.params, **short}), length


def noisy_model(combined: Params, std: float, seed: int, version: int) -> Params:
    """A model with the BS's noise of this round on every floating-point number."""
    return {**combined, **noisy(floating_of(combined), std, stream(seed, STAGE, round=version))}


@dataclass(frozen=True)
class PrivateNoise(Transform):
    """The noise that a mechanism lets every UE add, with draws of its own beside those of `gaussian_noise`.

    Args:
        std: of each number, above 0.
    """

    std: float

    def __post_init__(self) -> None:
        require(0 < self.std <= LARGEST, "std", self.std, f"a number above 0, at most {LARGEST:g}")

    def apply(self, update: Params, context: Context, memory: Any) -> Tuple[Params, Any]:
        draws = stream(context.key.seed, STAGE, context.key.ue, context.key.round)
        return {**update, **noisy(floating_of(update), self.std, draws)}, memory
