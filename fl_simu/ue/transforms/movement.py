"""A trigger: a UE sends only when its model has moved."""

from dataclasses import dataclass
from typing import Any, Tuple

from fl_simu.kernel.limits import require_factor
from fl_simu.kernel.parameters import Params, distance
from fl_simu.ue.transforms.base import Context, Transform


@dataclass(frozen=True)
class Movement(Transform):
    r"""A UE sends only when its model has moved by more than a threshold since its last accepted upload.

    .. math:: \lVert w_{now} - w_{sent} \rVert_2 > threshold

    The norm is over all floating-point tensors of the UE's own trained models. Until the BS has accepted one of
    its uploads, a UE always sends. The protocol decides how the BS treats a UE that does not send;
    `event_triggered` includes this trigger. It takes the memory of one model per UE.

    Args:
        threshold: distance in the model's units, at least 0.

    Reference: Chen et al. 2018, "LAG: Lazily Aggregated Gradient for Communication-Efficient Distributed
    Learning".
    """

    threshold: float = 5.0

    def __post_init__(self) -> None:
        require_factor("threshold", self.threshold, or_zero=True)

    def apply(self, update: Params, context: Context, memory: Any) -> Tuple[Params, Any]:
        return update, {name: tensor.clone() for name, tensor in context.trained.items()}

    def silent(self, context: Context, memory: Any) -> bool:
        # A model that is not finite has no distance. It is sent and refused.
        return memory is not None and distance(context.trained, memory) <= self.threshold
