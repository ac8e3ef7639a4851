"""Plain torch in one process: one module serves every UE in turn."""

from dataclasses import dataclass
from typing import Dict, Sequence

import torch

from fl_simu.backends.base import Backend, BackendSpec
from fl_simu.backends.devices import CPU
from fl_simu.backends.trainer import Trainer
from fl_simu.kernel.devices import open_device, require_device
from fl_simu.kernel.parameters import Params
from fl_simu.ue.training import LocalTraining, Shard, Task, Trained


@dataclass(frozen=True)
class Torch(BackendSpec):
    """Plain torch, one UE after the other, in one process.

    Args:
        device: where the UEs train: "cpu", "cuda" or "cuda:<index>". A GPU computes without TF32.
        exact: whether every sum is computed in the order of the plain loop, so that the weights equal those of
            `syft` on the same torch, bit for bit. Otherwise torch 2 uses the channels-last layout for convolutions
            and for the gradients of `nn.MaxPool2d`, and fuses the optimiser's step. That is up to a third faster,
            and the weights of a round agree within 1e-5 of their norm. Torch 1.4 is exact either way.
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
    """Trains one UE after the other.

    A UE is trained when its model is fetched, so only one trained model is in memory at a time.

    Args:
        training: the local training of every UE in a round.
        device: the training device. The models that go in and come out are on the processor.
    """

    def __init__(self, training: LocalTraining, device: torch.device = CPU) -> None:
        super().__init__(training)
        self._trainer = Trainer(training, device)
        self._shards: Dict[int, Shard] = {}
        self._tasks: Dict[int, Task] = {}
        self._looked_at: Dict[int, Trained] = {}

    def place(self, ue: int, shard: Shard) -> None:
        self._shards[ue] = shard

    def train(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            self._tasks[task.key.ue] = task

    def get(self, ue: int) -> Trained:
        if ue in self._looked_at:
            return self._looked_at.pop(ue)
        return self._trainer.train(self._tasks.pop(ue), self._shards[ue])

    def peek(self, ue: int) -> Params:
        self._looked_at[ue] = self.get(ue)
        return self._looked_at[ue].params

    def give_up(self, ue: int) -> None:
        self._tasks.pop(ue, None)
        self._looked_at.pop(ue, None)

    def close(self) -> None:
        for held in (self._shards, self._tasks, self._looked_at):
            held.clear()
