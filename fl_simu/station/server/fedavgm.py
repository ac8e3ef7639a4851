"""Momentum at the server."""

from dataclasses import dataclass
from typing import Tuple

import torch

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_factor
from fl_simu.kernel.parameters import Params
from fl_simu.station.server.base import ServerOptimizer


@dataclass(frozen=True)
class FedAvgM(ServerOptimizer):
    r"""Server momentum: the mean update, turned round, is the gradient of an SGD step with momentum.

    .. math:: v' = \beta v + (w - \bar w), \quad w' = w - \eta v'

    with the global model :math:`w` and what the uploads were combined to, :math:`\bar w`; v is 0 at first. Tensors
    that are not floating point are those of :math:`\bar w`. v is kept in checkpoints.

    Args:
        lr: :math:`\eta`, the server learning rate, above 0. With 1 and no momentum the model is replaced, exactly.
        momentum: :math:`\beta`, the share of the last step that goes on, 0 or more and below 1.

    Reference: Hsu, Qi, Brown 2019, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
    Classification".
    """

    lr: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        require_factor("lr", self.lr)
        require(0 <= self.momentum < 1, "momentum", self.momentum, "at least 0 and below 1")

    def start(self, model: Params) -> Params:
        return {name: torch.zeros_like(one) for name, one in model.items() if one.dtype.is_floating_point}

    def step(self, state: Params, current: Params, combined: Params, version: int) -> Tuple[Params, Params]:
        velocity = {name: v.mul(self.momentum).add(current[name] - combined[name]) for name, v in state.items()}
        if self.lr == 1 and self.momentum == 0:
            # w - (w - c) may differ from c in the last bit.
            return velocity, combined
        moved = {name: current[name].add(v, alpha=-self.lr) for name, v in velocity.items()}
        return velocity, {name: moved.get(name, tensor) for name, tensor in combined.items()}
