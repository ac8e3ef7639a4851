"""Backends that train nothing, for measurements of everything except training."""

from dataclasses import dataclass
from typing import Sequence

from fl_simu.backends.base import Backend, BackendSpec
from fl_simu.kernel.parameters import Params
from fl_simu.ue.training import LocalTraining, Shard, Task, Trained


class Idle(Backend):
    """Every UE returns the model that it received."""

    model: Params

    def place(self, ue: int, shard: Shard) -> None:
        pass

    def train(self, tasks: Sequence[Task]) -> None:
        for task in tasks[:1]:
            self.model = task.start

    def get(self, ue: int) -> Trained:
        return Trained(self.model, {})

    def peek(self, ue: int) -> Params:
        return self.model

    def give_up(self, ue: int) -> None:
        pass

    def close(self) -> None:
        pass


class Standstill(Idle):
    """Every UE returns the model that it received, moved a little, in the same way each time."""

    def train(self, tasks: Sequence[Task]) -> None:
        for task in tasks[:1]:
            self.model = {name: tensor * 1.01 for name, tensor in task.start.items()}


@dataclass(frozen=True)
class StandingStill(BackendSpec):
    """The backend above as a part of an experiment."""

    def build(self, training: LocalTraining) -> Standstill:
        return Standstill(training)
