"""A backend: trains every UE at once and keeps the models; the loop itself is the plain one."""

from dataclasses import dataclass

from fl_simu.backends.base import Backend, BackendSpec
from fl_simu.backends.devices import CPU
from fl_simu.backends.trainer import Trainer


@dataclass(frozen=True)
class Eager(BackendSpec):
    """Plain torch, without waiting for a model to be asked for."""

    def build(self, training):
        return EagerUes(training)


class EagerUes(Backend):
    def __init__(self, training):
        super().__init__(training)
        self.trainer, self.shards, self.trained = Trainer(training, CPU), {}, {}

    def place(self, ue, shard):
        self.shards[ue] = shard

    def train(self, tasks):
        self.trained.update((task.key.ue, self.trainer.train(task, self.shards[task.key.ue])) for task in tasks)

    def get(self, ue):
        return self.trained.pop(ue)

    def peek(self, ue):
        return self.trained[ue].params

    def give_up(self, ue):
        del self.trained[ue]

    def close(self):
        self.trained.clear()
