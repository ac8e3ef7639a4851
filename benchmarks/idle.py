"""Backends that train nothing, for what is measured beside training."""

from typing import Iterable, Sequence

from fl_simu.backends.base import Backend, OptimizerState
from fl_simu.kernel.parameters import Params
from fl_simu.ue.training import Key, Shard


class Idle(Backend):
    """Every UE gives back the model that it was sent."""

    def place(self, ue: int, shard: Shard) -> None:
        pass

    def send(self, ues: Iterable[int], params: Params) -> None:
        self.model = params

    def train(self, keys: Sequence[Key]) -> None:
        pass

    def get(self, ue: int) -> Params:
        return self.model

    def put_back(self, ue: int, params: Params) -> None:
        pass

    def optimizer_state(self, ue: int) -> OptimizerState:
        return {}

    def restore(self, ue: int, optimizer: OptimizerState) -> None:
        pass

    def close(self) -> None:
        pass


class Standstill(Idle):
    """Every UE gives back the model that it was sent, moved a little and the same way each time."""

    def send(self, ues: Iterable[int], params: Params) -> None:
        self.model = {name: tensor * 1.01 for name, tensor in params.items()}
