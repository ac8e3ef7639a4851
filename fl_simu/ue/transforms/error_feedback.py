"""Error feedback."""

from dataclasses import dataclass
from typing import Any, Tuple

from fl_simu.kernel.parameters import Params, floating_of
from fl_simu.ue.transforms.base import Context, Transform


@dataclass(frozen=True)
class ErrorFeedback(Transform):
    r"""What the codec loses of an update is added to the next one.

    .. math:: v_t = u_t + e_t, \quad e_{t+1} = v_t - decode(layers)

    with the layers that the BS took; of an upload of which it took nothing, e stays as it was, and it is 0 at
    first. So what a codec loses is sent later, and not for ever lost. That needs a codec that loses less than it
    is given, such as `top_k`; where it loses more, as `affine` with 1 bit does on most updates, e grows from round
    to round. It is about floating-point tensors; others travel exactly anyway. It costs the memory of one model a
    UE. What transforms after it take away from the update comes back in the next one too.

    Reference: Seide et al. 2014, "1-Bit Stochastic Gradient Descent"; Karimireddy et al. 2019, "Error Feedback
    Fixes SignSGD and other Gradient Compression Schemes".
    """

    def apply(self, update: Params, context: Context, memory: Any) -> Tuple[Params, Any]:
        if memory is None:
            return update, None
        return {**update, **{name: update[name] + missed for name, missed in memory.items()}}, memory

    def settled(self, memory: Any, sent: Params, decoded: Params) -> Any:
        return {name: one - decoded[name] for name, one in floating_of(sent).items()}
