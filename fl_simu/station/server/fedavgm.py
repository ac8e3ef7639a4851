"""Momentum at the server."""

from dataclasses import dataclass
from typing import Tuple

from fl_simu.kernel.limits import require_factor, require_share
from fl_simu.kernel.parameters import Params, zeros_of
from fl_simu.station.server.base import ServerOptimizer


@dataclass(frozen=True)
class FedAvgM(ServerOptimizer):
    r"""Server momentum: the negative mean update is the gradient of an SGD step with momentum.

    .. math:: v' = \beta v + (w - \bar w), \quad w' = w - \eta v'

    where :math:`w` is the global model and :math:`\bar w` the aggregated model; v starts at 0. Tensors that are
    not floating point are those of :math:`\bar w`. v is kept in checkpoints.

    Args:
        lr: :math:`\eta`, the server learning rate, above 0. With 1 and no momentum the model is replaced, exactly.
        momentum: :math:`\beta`, the share of the last step that is carried over, 0 or more and below 1.

    Reference: Hsu, Qi, Brown 2019, "Measuring the Effects of Non-Identical Data Distribution for Federated Visual
    Classification".
    """

    lr: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        require_factor("lr", self.lr)
        require_share("momentum", self.momentum)

    def start(self, model: Params) -> Params:
        return zeros_of(model)

    def step(self, state: Params, current: Params, combined: Params, version: int) -> Tuple[Params, Params]:
        velocity = {name: v.mul(self.momentum).add(current[name] - combined[name]) for name, v in state.items()}
        if self.lr == 1 and self.momentum == 0:
            # w - (w - c) may differ from c in the last bit.
            return velocity, combined
        moved = {name: current[name].add(v, alpha=-self.lr) for name, v in velocity.items()}
        return velocity, {name: moved.get(name, tensor) for name, tensor in combined.items()}
