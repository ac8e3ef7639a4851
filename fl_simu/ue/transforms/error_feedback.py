"""Error feedback."""

from dataclasses import dataclass
from typing import Any, Tuple

from fl_simu.kernel.parameters import Params, floating_of
from fl_simu.ue.transforms.base import Context, Transform


@dataclass(frozen=True)
class ErrorFeedback(Transform):
    r"""The compression error of an update is added to the next update.

    .. math:: v_t = u_t + e_t, \quad e_{t+1} = v_t - decode(layers)

    Here the layers are those that the BS accepted. If it accepted nothing of an upload, e is unchanged; e starts
    at 0. So the part that a codec loses is sent later, and is not lost for ever.

    This requires a codec whose error is smaller than its input, such as `top_k`. Where the error is larger, as
    with `affine` at 1 bit on most updates, e grows from round to round. Error feedback covers floating-point
    tensors; others are sent exactly anyway. It takes the memory of one model per UE. The parts of an update that
    later transforms remove also come back in the next one.

    Reference: Seide et al. 2014, "1-Bit Stochastic Gradient Descent"; Karimireddy et al. 2019, "Error Feedback
    Fixes SignSGD and other Gradient Compression Schemes".
    """

    def apply(self, update: Params, context: Context, memory: Any) -> Tuple[Params, Any]:
        if memory is None:
            return update, None
        return {**update, **{name: update[name] + missed for name, missed in memory.items()}}, memory

    def settled(self, memory: Any, sent: Params, decoded: Params) -> Any:
        return {name: one - decoded[name] for name, one in floating_of(sent).items()}
