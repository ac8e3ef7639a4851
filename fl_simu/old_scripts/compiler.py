"""Keep optimisers from importing torch 2's compiler, which no script of 2020 uses.

torch 2 wraps the methods of its optimisers so that `torch.compile` leaves them alone. The wrappers import the
compiler when the first optimiser is created, which takes two to three seconds.
"""

import functools
import inspect
from typing import Any, Iterator

import torch

from fl_simu.kernel.installation import MODERN
from fl_simu.ue.optimizers import WRAPPED


def keep_out() -> None:
    """Unwrap the methods of every class of torch.optim, in place: a script's own classes inherit them."""
    if not MODERN:
        return
    for kind in _optimizers():
        for name in set(WRAPPED) & set(vars(kind)):
            inner = inspect.unwrap(vars(kind)[name])
            setattr(kind, name, _without_gradients(inner) if name == "step" else inner)


def _optimizers() -> Iterator[Any]:
    yield torch.optim.Optimizer
    for kind in vars(torch.optim).values():
        if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer:
            yield kind


def _without_gradients(step: Any) -> Any:
    @functools.wraps(step)
    def inner(self: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            return step(self, *args, **kwargs)

    # Otherwise, code that inspects the signature or unwraps the method would get the bare step.
    return inner
