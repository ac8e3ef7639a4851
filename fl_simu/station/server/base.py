"""The contract of a server optimiser, and that of FedAvg."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Tuple

from fl_simu.kernel.parameters import Params


class ServerOptimizer(ABC):
    """How the BS turns the aggregated model into the next global model.

    It can be combined with any aggregation rule.

    Note:
        A server optimiser is a frozen dataclass. Its state from round to round is passed in and returned.
    """

    def start(self, model: Params) -> Params:
        """The state before the first round: named tensors, whose names and shapes never change later."""
        return {}

    @abstractmethod
    def step(self, state: Params, current: Params, combined: Params, version: int) -> Tuple[Params, Params]:
        """Compute the next global model.

        Args:
            state: its state; not changed.
            current: the global model; not changed.
            combined: the result of the aggregation rule for the accepted uploads; the current model if there are
                too few uploads.
            version: number of aggregations that led to the current model.

        Returns:
            The new state, and the next global model.
        """


@dataclass(frozen=True)
class Replace(ServerOptimizer):
    """The aggregated model is the next global model (FedAvg)."""

    def step(self, state: Params, current: Params, combined: Params, version: int) -> Tuple[Params, Params]:
        return state, combined
