"""The contract of a backend: how UEs train, never what they train."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, Iterable, Sequence

from torch import Tensor

from fl_simu.kernel.parameters import Params
from fl_simu.ue.training import Key, LocalTraining, Shard

OptimizerState = Dict[str, Tensor]


class Backend(ABC):
    """Places data, sends models, trains, and fetches models.

    The order is `place` once for each UE; then, for any UEs and any number of times, `send`, `train`, `get`.
    A model that is never fetched may be sent over again. Whatever a backend does in between, `get` returns the
    params that the plain loop gives for the same params, data and key: bit for bit on one stack, or within the
    tolerance that the backend states.

    Args:
        training: what every UE does in a round.
    """

    def __init__(self, training: LocalTraining) -> None:
        self.training = training

    @abstractmethod
    def place(self, ue: int, shard: Shard) -> None:
        """Give a UE its data, once."""

    @abstractmethod
    def send(self, ues: Iterable[int], params: Params) -> None:
        """Give UEs the global model. The backend does not change these tensors."""

    @abstractmethod
    def train(self, keys: Sequence[Key]) -> None:
        """Let the UEs of these keys, which hold a model, make a round's local steps."""

    @abstractmethod
    def get(self, ue: int) -> Params:
        """The model that a UE has trained, which it then no longer holds.

        Its tensors may be slices of one that holds many UEs' models: who keeps one for long, copies it.
        """

    @abstractmethod
    def optimizer_state(self, ue: int) -> OptimizerState:
        """What a UE's optimiser remembers after the round it trained last; empty where it remembers nothing.

        Names are "<index of the parameter>/<name in torch's optimiser>".
        """

    @abstractmethod
    def restore(self, ue: int, optimizer: OptimizerState) -> None:
        """Put back what `optimizer_state` gave."""

    def peek(self, ue: int) -> Params:
        """The model that a UE has trained, which it still holds. Nobody may change these tensors."""
        params = self.get(ue)
        self.put_back(ue, params)
        return params

    def put_back(self, ue: int, params: Params) -> None:
        """Let a UE hold a model as if it had just trained it."""
        self.send((ue,), params)

    @abstractmethod
    def close(self) -> None:
        """Let go of everything that the UEs hold."""


@dataclass(frozen=True)
class BackendSpec(ABC):
    """Which backend, and how it is to run: a part of the config like any other."""

    def chosen(self) -> "BackendSpec":
        """What is run here: itself, unless it leaves the choice to this installation."""
        return self

    @property
    def fast(self) -> bool:
        """Whether it may round otherwise than the plain loop does; see `LocalTraining`."""
        return False

    @classmethod
    def missing(cls) -> str:
        """What this installation lacks for it, in a few words; empty where it lacks nothing."""
        return ""

    @classmethod
    def whose(cls) -> str:
        """Whose implementation it runs on here, where there are several; empty where there is one."""
        return ""

    @abstractmethod
    def build(self, training: LocalTraining) -> Backend:
        """The backend, with no UE yet.

        Raises:
            UserError: it cannot run this here.
        """
