"""Clipping of updates."""

import math
from dataclasses import dataclass
from typing import Any, Tuple

from fl_simu.kernel.limits import require_factor
from fl_simu.kernel.parameters import Params, floating_of
from fl_simu.ue.transforms.base import Context, Transform


@dataclass(frozen=True)
class Clip(Transform):
    r"""Scales an update down to a maximum norm.

    .. math:: u' = u \min(1, C / \lVert u \rVert_2)

    The norm is over all floating-point tensors together; other tensors are unchanged. An update that is short
    enough is unchanged, bit for bit.

    Args:
        norm: :math:`C`, above 0.

    Reference: McMahan, Ramage, Talwar, Zhang 2018, "Learning Differentially Private Recurrent Language Models".
    """

    norm: float = 1.0

    def __post_init__(self) -> None:
        require_factor("norm", self.norm)

    def apply(self, update: Params, context: Context, memory: Any) -> Tuple[Params, Any]:
        floating = floating_of(update)
        length = math.sqrt(sum(tensor.double().pow(2).sum().item() for tensor in floating.values()))
        # An update that is not finite has no norm. It is sent unchanged and refused.
        if not self.norm < length < math.inf:
            return update, memory
        scaled = {name: tensor.mul(self.norm / length) for name, tensor in floating.items()}
        return {**update, **scaled}, memory
