"""Plain torch in one process: one module serves every UE in turn."""

from dataclasses import dataclass
from typing import Dict, Iterable, Sequence

import torch

from fl_simu.backends.base import Backend, BackendSpec, OptimizerState
from fl_simu.backends.devices import CPU, open_device, require_device
from fl_simu.backends.trainer import Trainer
from fl_simu.kernel.parameters import Params
from fl_simu.ue.training import Key, LocalTraining, Shard


@dataclass(frozen=True)
class Torch(BackendSpec):
    """Plain torch, one UE after the other, in one process.

    Args:
        device: where the UEs train: "cpu", "cuda" or "cuda:<index>". A GPU computes without TF32.
        exact: whether every sum is made in the order of the plain loop, so that the weights are those of `syft` on
            the same torch, bit for bit. Otherwise torch 2 lays convolutions and the gradients of `nn.MaxPool2d`
            out channels-last and fuses an optimiser's step: up to a third faster, and the weights of a round agree
            within 1e-5 of their norm. Torch 1.4 is exact either way.
    """

    device: str = "cpu"
    exact: bool = False

    def __post_init__(self) -> None:
        require_device(self.device)

    @property
    def fast(self) -> bool:
        return not self.exact

    def build(self, training: LocalTraining) -> "TorchLoop":
        return TorchLoop(training, open_device(self.device))


class TorchLoop(Backend):
    """One UE after the other.

    A UE is trained when its model is fetched, so that one trained model is in memory at a time.

    Between `send` and `get` a UE holds nothing but a reference to the global model and its key, however many UEs
    there are. An optimiser that remembers costs its state for each UE.

    Args:
        training: what every UE does in a round.
        device: where it is done. The models that go in and come out are on the processor.
    """

    def __init__(self, training: LocalTraining, device: torch.device = CPU) -> None:
        super().__init__(training)
        self._trainer = Trainer(training, device)
        self._shards: Dict[int, Shard] = {}
        self._models: Dict[int, Params] = {}
        self._untrained: Dict[int, Key] = {}
        self._optimizers: Dict[int, OptimizerState] = {}
        # Of UEs that have trained a model which nobody has fetched yet, what their optimisers remembered before.
        self._before: Dict[int, OptimizerState] = {}

    def place(self, ue: int, shard: Shard) -> None:
        self._shards[ue] = shard

    def send(self, ues: Iterable[int], params: Params) -> None:
        for ue in ues:
            self.give_up(ue)
            self._models[ue] = params

    def train(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self._untrained[key.ue] = key

    def get(self, ue: int) -> Params:
        self._train_if_due(ue)
        self._before.pop(ue, None)
        return self._models.pop(ue)

    def peek(self, ue: int) -> Params:
        self._train_if_due(ue)
        return self._models[ue]

    def give_up(self, ue: int) -> None:
        if self.training.keep_optimizer_state:
            # A round whose model nobody fetches still moves an optimiser that remembers.
            self._train_if_due(ue)
        for held in (self._untrained, self._models, self._before):
            held.pop(ue, None)

    def optimizer_state(self, ue: int) -> OptimizerState:
        return self._before.get(ue, self._optimizers.get(ue, {}))

    def restore(self, ue: int, optimizer: OptimizerState) -> None:
        self._optimizers[ue] = optimizer

    def close(self) -> None:
        for held in (self._shards, self._models, self._untrained, self._optimizers, self._before):
            held.clear()

    def _train_if_due(self, ue: int) -> None:
        key = self._untrained.pop(ue, None)
        if key is not None:
            state = self._before[ue] = self._optimizers.get(ue, {})
            self._models[ue], state = self._trainer.train(key, self._models[ue], self._shards[ue], state)
            if state:
                self._optimizers[ue] = state
