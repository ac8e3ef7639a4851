"""What an optimiser remembers: where it is, and how it is saved."""

import functools
import sys
from typing import Any, Iterator, Tuple

from torch import optim

from fl_simu.pointers import quirks
from fl_simu.pointers.wrappers import Wrapper

# With 0.2.4, what these remember of one worker fails at another with a TypeError.
TYPE_ERRORS = (optim.Adadelta, optim.Adam, optim.AdamW, optim.RMSprop, optim.SGD)


def follow_models() -> None:
    """Let every optimiser of torch.optim work on models that travel."""
    optimizers = sys.modules["torch.optim.optimizer"]
    optimizers.register_optimizer_step_pre_hook(_fail_as_in_0_2_4)
    optimizers.register_optimizer_step_pre_hook(_bring_adagrad_along)
    optimizers.register_optimizer_step_post_hook(_part_momentum_from_gradient)
    for name in ("state_dict", "__getstate__"):
        setattr(optim.Optimizer, name, _by_value(getattr(optim.Optimizer, name)))


def _remembered(optimizer: Any) -> Iterator[Tuple[Any, Any]]:
    """Each parameter and each tensor that is remembered of it."""
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
    """When strict: the errors of 0.2.4 where an optimiser's memory and its model are apart."""
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
    """Adagrad makes its sums when it is built, where the model is then; they have to be where the model is now."""
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
    """SGD's momentum begins as a clone, which for a pointer is the same tensor again, and belongs to neither."""
    if not isinstance(optimizer, optim.SGD):
        return
    for group in optimizer.param_groups:
        for parameter in group["params"] if group["momentum"] else ():
            state = optimizer.state[parameter]
            momentum = state.get("momentum_buffer")
            if isinstance(momentum, Wrapper) and not momentum.child.garbage_collect_data:
                state["momentum_buffer"] = momentum.copy()
                momentum.child.garbage_collect_data = True
