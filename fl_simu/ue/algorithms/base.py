"""The contract of a local algorithm, and the plain one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Mapping

# Tensors by name: of one model, of a stack of models, or pointers to those of a remote one.
Tensors = Mapping[str, Any]


class LocalAlgorithm(ABC):
    """What a UE's local steps are beside the gradient of its loss; on every backend."""

    @property
    def corrects(self) -> bool:
        """Whether there is a correction; where there is none, nothing is computed for it."""
        return True

    @abstractmethod
    def correction(self, params: Tensors, start: Tensors) -> Tensors:
        """What is added to the gradient of each step, before the optimiser sees it.

        It works element by element, with arithmetic alone, so that it is the same on tensors, on stacks of UEs'
        tensors and on pointers.

        Args:
            params: the parameters now; not changed.
            start: the same parameters of the global model that the UE was handed.
        """


@dataclass(frozen=True)
class FedAvg(LocalAlgorithm):
    """Plain local steps (McMahan et al. 2017)."""

    @property
    def corrects(self) -> bool:
        return False

    def correction(self, params: Tensors, start: Tensors) -> Tensors:
        return {}
