"""Optimisers of local training, as descriptions of torch's own. One class each, one row in the registry below."""

import inspect
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, Dict, Iterable, Type, TypeVar

import torch

from fl_simu.kernel.errors import require
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.limits import require_share

Kind = TypeVar("Kind", bound=torch.optim.Optimizer)
WRAPPED = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")
_UNCOMPILED: Dict[type, Any] = {}


def uncompiled(torch_class: Type[Kind]) -> Type[Kind]:
    """A class of torch.optim without the wrappers of torch 2 around its methods for `torch.compile`.

    It works the same. The wrappers import the compiler when the first optimiser is created, which takes a second.
    """
    if not MODERN:
        return torch_class
    if torch_class not in _UNCOMPILED:
        methods = {name: inspect.unwrap(getattr(torch_class, name)) for name in WRAPPED}
        methods["step"] = torch.no_grad()(methods["step"])
        _UNCOMPILED[torch_class] = type(torch_class.__name__, (torch_class,), methods)
    return _UNCOMPILED[torch_class]


@dataclass(frozen=True)
class Optimizer(ABC):
    """The optimiser of local training: a class of `torch.optim`.

    Arguments that are not listed have torch's defaults. A UE's optimiser is reset in each round unless
    `training.keep_optimizer_state` is set.
    """

    @property
    @abstractmethod
    def torch_class(self) -> Type[torch.optim.Optimizer]:
        """The class of torch.optim."""

    def build(self, parameters: Iterable[torch.Tensor], fast: bool = False) -> torch.optim.Optimizer:
        """Create the torch optimiser of these parameters.

        Args:
            parameters: the parameters to optimise.
            fast: whether a step may be one fused call if torch 2 has one; sums may then be rounded differently.
        """
        fused: Dict[str, Any] = {"fused": True} if fast and self.torch_class in FUSED else {}
        return uncompiled(self.torch_class)(parameters, **asdict(self), **fused)

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            # A user's part may have arguments that are unknown here.
            _CHECKS.get(name, _any)(name, value)


# Optimisers for which torch 2.4 and later have a fused step on CPUs too.
FUSED = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.Adagrad)
LEAST, MOST = torch.finfo(torch.float32).tiny, torch.finfo(torch.float32).max


def _positive(name: str, value: Any) -> None:
    require(LEAST <= value <= MOST, name, value, "a number above 0 that a float32 holds")


def _not_negative(name: str, value: Any) -> None:
    require(0 <= value <= MOST, name, value, "a number, at least 0, that a float32 holds")


def _any(name: str, value: Any) -> None:
    pass


_CHECKS = {
    "lr": _positive,
    "momentum": require_share,
    "weight_decay": _not_negative,
    "rho": require_share,
    "alpha": require_share,
    "amsgrad": _any,
}


@dataclass(frozen=True)
class Sgd(Optimizer):
    """Stochastic gradient descent, optionally with momentum (torch.optim.SGD).

    Args:
        lr: learning rate, 1.2e-38 to 3.4e38, the range of float32.
        momentum: share of the last step that is carried over, 0 or more and below 1.
        weight_decay: L2 penalty, 0 or more and finite.
    """

    lr: float = 0.01
    momentum: float = 0.0
    weight_decay: float = 0.0

    torch_class = torch.optim.SGD


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (torch.optim.Adam).

    Args:
        lr: learning rate, 1.2e-38 to 3.4e38, the range of float32.
        weight_decay: L2 penalty, 0 or more and finite.
        amsgrad: whether to use the AMSGrad variant; not on real syft.
    """

    lr: float = 0.001
    weight_decay: float = 0.0
    amsgrad: bool = False

    torch_class = torch.optim.Adam


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay (torch.optim.AdamW).

    Args:
        lr: learning rate, 1.2e-38 to 3.4e38, the range of float32.
        weight_decay: decoupled weight decay, 0 or more and finite.
    """

    lr: float = 0.001
    weight_decay: float = 0.01

    torch_class = torch.optim.AdamW


@dataclass(frozen=True)
class RmsProp(Optimizer):
    """RMSprop (torch.optim.RMSprop).

    Args:
        lr: learning rate, 1.2e-38 to 3.4e38, the range of float32.
        alpha: smoothing constant of the squared gradients, 0 or more and below 1.
        momentum: share of the last step that is carried over, 0 or more and below 1.
    """

    lr: float = 0.01
    alpha: float = 0.99
    momentum: float = 0.0

    torch_class = torch.optim.RMSprop


@dataclass(frozen=True)
class Adadelta(Optimizer):
    """Adadelta (torch.optim.Adadelta).

    Args:
        lr: factor on the step, 1.2e-38 to 3.4e38, the range of float32.
        rho: smoothing constant of the squared gradients, 0 or more and below 1.
    """

    lr: float = 1.0
    rho: float = 0.9

    torch_class = torch.optim.Adadelta


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad (torch.optim.Adagrad).

    Not on real syft.

    Args:
        lr: learning rate, 1.2e-38 to 3.4e38, the range of float32.
    """

    lr: float = 0.01

    torch_class = torch.optim.Adagrad


OPTIMIZERS: Dict[str, Type[Optimizer]] = {
    "sgd": Sgd,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RmsProp,
    "adadelta": Adadelta,
    "adagrad": Adagrad,
}
