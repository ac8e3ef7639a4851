"""Adaptive server optimisers: FedAdagrad, FedAdam, FedYogi."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Tuple

import torch
from torch import Tensor

from fl_simu.kernel.limits import require_factor, require_share
from fl_simu.kernel.parameters import Params, floating_of, zeros_of
from fl_simu.station.server.base import ServerOptimizer


@dataclass(frozen=True)
class Adaptive(ServerOptimizer):
    r"""The negative mean update is the gradient of an adaptive step at the BS.

    .. math:: \Delta = \bar w - w, \quad m' = \beta_1 m + (1 - \beta_1) \Delta, \quad w' = w + \eta \frac{m'}
        {\sqrt{v'} + \tau}

    where w is the global model and :math:`\bar w` the aggregated model. The rules differ in v. m starts at 0 and v
    at :math:`\tau^2`, as in the paper (Flower starts v at 0); there is no bias correction. Tensors that are not
    floating point are those of :math:`\bar w`.

    Args:
        lr: :math:`\eta`, the server learning rate.
        beta_1: :math:`\beta_1`, at least 0 and below 1.
        tau: :math:`\tau`, above 0: degree of adaptivity; the smaller, the more adaptive is the step.
    """

    lr: float = 0.1
    beta_1: float = 0.9
    tau: float = 1e-3

    def __post_init__(self) -> None:
        require_factor("lr", self.lr)
        require_share("beta_1", self.beta_1)
        require_factor("tau", self.tau)

    @abstractmethod
    def second_moment(self, v: Tensor, squared: Tensor) -> Tensor:
        """v', given v and the squared update."""

    def start(self, model: Params) -> Params:
        return {
            **{"m/" + name: zeros for name, zeros in zeros_of(model).items()},
            **{"v/" + name: torch.full_like(one, self.tau**2) for name, one in floating_of(model).items()},
        }

    def step(self, state: Params, current: Params, combined: Params, version: int) -> Tuple[Params, Params]:
        after, params = {}, dict(combined)
        for name, tensor in floating_of(current).items():
            update = combined[name] - tensor
            m = state["m/" + name].mul(self.beta_1).add(update, alpha=1 - self.beta_1)
            v = self.second_moment(state["v/" + name], update.pow(2))
            after["m/" + name], after["v/" + name] = m, v
            params[name] = tensor + self.lr * m / (v.sqrt() + self.tau)
        return {name: after[name] for name in state}, params


@dataclass(frozen=True)
class FedAdagrad(Adaptive):
    r"""Adagrad at the BS, whose steps shrink over time.

    .. math:: v' = v + \Delta^2

    Args:
        beta_1: :math:`\beta_1`, at least 0 and below 1; the paper has no momentum here.

    Reference: Reddi et al. 2021, "Adaptive Federated Optimization".
    """

    beta_1: float = 0.0

    def second_moment(self, v: Tensor, squared: Tensor) -> Tensor:
        return v + squared


@dataclass(frozen=True)
class FedAdam(Adaptive):
    r"""Adam at the BS, without bias correction.

    .. math:: v' = \beta_2 v + (1 - \beta_2) \Delta^2

    Args:
        beta_2: :math:`\beta_2`, at least 0 and below 1.

    Reference: Reddi et al. 2021, "Adaptive Federated Optimization".
    """

    beta_2: float = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        require_share("beta_2", self.beta_2)

    def second_moment(self, v: Tensor, squared: Tensor) -> Tensor:
        return self.beta_2 * v + (1 - self.beta_2) * squared


@dataclass(frozen=True)
class FedYogi(FedAdam):
    r"""Yogi at the BS, which changes v more slowly than Adam.

    .. math:: v' = v - (1 - \beta_2) \Delta^2 sign(v - \Delta^2)

    Args:
        beta_2: as for `fedadam`.

    Reference: Reddi et al. 2021, "Adaptive Federated Optimization".
    """

    lr: float = 0.01

    def second_moment(self, v: Tensor, squared: Tensor) -> Tensor:
        return v - (1 - self.beta_2) * squared * torch.sign(v - squared)
