"""The contract of a backend: how UEs train, never what they train."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, Iterable, Optional, Sequence

from torch import Tensor

from fl_simu.backends.optimizer_state import memory_after_a_step
from fl_simu.kernel.parameters import Params, require_alike
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
        self._trial: Optional[OptimizerState] = None

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
        """What a UE's optimiser remembers; empty where it remembers nothing.

        While the UE holds a model that may be fetched, and that `kept` does not tell, it is what it remembered
        before, even if it has trained already; else what it does after the round it trained last. Nothing is
        trained for it.
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

    def give_up(self, ue: int) -> None:
        """Nobody will fetch what a UE was sent; an optimiser that remembers moves all the same."""
        return None

    def kept(self, ue: int) -> Optional[Params]:
        """The model that a UE holds, where it does not follow from what it was sent, its data, its key and its
        optimiser, and a checkpoint must hold it; else None."""
        return None

    def together(self, ue: int) -> Sequence[int]:
        """The UEs that have to train at once, in this order, for one of them to train the same model again."""
        return (ue,)

    def train_again(self, keys: Sequence[Key], params: Params) -> None:
        """Let UEs hold again, after `restore`, what they held when a checkpoint was taken."""
        self.send([key.ue for key in keys], params)
        self.train(keys)

    def check_memory(self, ue: int, optimizer: OptimizerState) -> None:
        """Raise ValueError unless a UE of this backend can have had that optimiser's memory after a round."""
        remembered = self._remembered()
        require_alike(optimizer, remembered, f"the optimiser of UE {ue}")

    def remembers(self) -> bool:
        """Whether every UE that has trained has an optimiser that remembers."""
        return bool(self._remembered())

    def _remembered(self) -> OptimizerState:
        if self._trial is None:
            self._trial = memory_after_a_step(self.training) if self.training.keep_optimizer_state else {}
        return self._trial

    @abstractmethod
    def close(self) -> None:
        """Let go of everything that the UEs hold."""


@dataclass(frozen=True)
class BackendSpec(ABC):
    """How the UEs train, never what.

    Whatever backend runs an experiment, the draws are the same, and so are the weights, bit for bit or within what
    the backend states.
    """

    def chosen(self) -> "BackendSpec":
        """What is run here: itself, unless it leaves the choice to this installation."""
        return self

    def anywhere(self) -> "BackendSpec":
        """The same on no particular machines: where it runs decides no result."""
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
