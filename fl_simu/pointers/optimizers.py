"""The memory of an optimiser: where it is, and how it is saved."""

import functools
import sys
from typing import Any, Iterator, Tuple

from torch import optim

from fl_simu.pointers import quirks
from fl_simu.pointers.wrappers import Wrapper

# In 0.2.4, the memory that these have at one worker fails at another worker with a TypeError.
TYPE_ERRORS = (optim.Adadelta, optim.Adam, optim.AdamW, optim.RMSprop, optim.SGD)


def follow_models() -> None:
    """Let every optimiser of torch.optim work on models that move between workers."""
    optimizers = sys.modules["torch.optim.optimizer"]
    optimizers.register_optimizer_step_pre_hook(_fail_as_in_0_2_4)
    optimizers.register_optimizer_step_pre_hook(_bring_adagrad_along)
    optimizers.register_optimizer_step_post_hook(_part_momentum_from_gradient)
    for name in ("state_dict", "__getstate__"):
        setattr(optim.Optimizer, name, _by_value(getattr(optim.Optimizer, name)))


def _remembered(optimizer: Any) -> Iterator[Tuple[Any, Any]]:
    """Pairs of a parameter and a tensor that the optimiser remembers for it."""
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            for value in optimizer.state.get(parameter, {}).values():
                if hasattr(value, "is_wrapper"):
                    yield parameter, value


def _by_value(method: Any) -> Any:
    @functools.wraps(method)
    def marking(self: Any) -> Any:
        for _, value in _remembered(self):
            if isinstance(value, Wrapper):
                value.child.saved_by_value = True
        return method(self)

    return marking


def _fail_as_in_0_2_4(optimizer: Any, args: Any, kwargs: Any) -> None:
    """In strict mode, raise the errors of 0.2.4 if an optimiser's memory and its model are in different places."""
    if not quirks.strictly():
        return
    name = type(optimizer).__name__
    for parameter, value in _remembered(optimizer):
        model, memory = parameter.location, value.location
        if model is None or memory is model or not value.dim():
            continue
        if memory is None:
            raise RuntimeError(f"what {name} remembers is here, and the model is at {model.id}")
        if isinstance(optimizer, TYPE_ERRORS):
            raise TypeError(f"what {name} remembers is at {memory.id}, and the model is at {model.id}")


def _bring_adagrad_along(optimizer: Any, args: Any, kwargs: Any) -> None:
    """Move Adagrad's sums to the model: they are created with the optimiser, where the model is at that time."""
    if not isinstance(optimizer, optim.Adagrad):
        return
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            state = optimizer.state[parameter]
            there, total = parameter.location, state["sum"]
            if total.location is there or quirks.is_strict("adagrad"):
                continue
            if isinstance(total, Wrapper):
                total = total.get()
            state["sum"] = total if there is None else total.send(there)


def _part_momentum_from_gradient(optimizer: Any, args: Any, kwargs: Any) -> None:
    """Give SGD's momentum its own tensor: it begins as a clone, which for a pointer is the gradient itself."""
    if not isinstance(optimizer, optim.SGD):
        return
    for group in optimizer.param_groups:
        for parameter in group["params"] if group["momentum"] else ():
            state = optimizer.state[parameter]
            momentum = state.get("momentum_buffer")
            if isinstance(momentum, Wrapper) and not momentum.child.garbage_collect_data:
                state["momentum_buffer"] = momentum.copy()
                momentum.child.garbage_collect_data = True
