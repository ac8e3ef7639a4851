"""The contract of a server optimiser, and the one that FedAvg has."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Tuple

from fl_simu.kernel.parameters import Params


class ServerOptimizer(ABC):
    """How the BS turns the aggregated model into the next global model.

    It can follow any aggregation rule.

    Note:
        A server optimiser is a frozen dataclass; what it remembers from round to round goes in and comes out.
    """

    def start(self, model: Params) -> Params:
        """What it remembers before the first round: named tensors, of the same names and shapes ever after."""
        return {}

    @abstractmethod
    def step(self, state: Params, current: Params, combined: Params, version: int) -> Tuple[Params, Params]:
        """The next global model.

        Args:
            state: what it remembers; not changed.
            current: the global model; not changed.
            combined: what the aggregation rule made of the accepted uploads; the current model where there are
                too few.
            version: number of aggregations behind the current model.

        Returns:
            What it remembers now, and the next global model.
        """


@dataclass(frozen=True)
class Replace(ServerOptimizer):
    """The aggregated model is the next global model (FedAvg)."""

    def step(self, state: Params, current: Params, combined: Params, version: int) -> Tuple[Params, Params]:
        return state, combined
