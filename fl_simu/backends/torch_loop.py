"""Plain torch in one process: one module serves every UE in turn."""

from typing import Dict, Iterable, Sequence

import torch

from fl_simu.backends.base import Backend, OptimizerState
from fl_simu.backends.optimizer_state import flatten_state, load_state
from fl_simu.kernel.parameters import Params, params_of
from fl_simu.ue.training import Key, LocalTraining, Shard


class TorchLoop(Backend):
    """Plain torch, one UE after the other, in one process.

    A UE is trained when its model is fetched, so that one trained model is in memory at a time.

    Between `send` and `get` a UE holds nothing but a reference to the global model and its key, however many UEs
    there are. An optimiser that remembers costs its state for each UE.
    """

    def __init__(self, training: LocalTraining) -> None:
        super().__init__(training)
        self._module = training.make_module()
        self._shards: Dict[int, Shard] = {}
        self._models: Dict[int, Params] = {}
        self._untrained: Dict[int, Key] = {}
        self._optimizers: Dict[int, OptimizerState] = {}

    def place(self, ue: int, shard: Shard) -> None:
        self._shards[ue] = shard

    def send(self, ues: Iterable[int], params: Params) -> None:
        for ue in ues:
            self._train_for_its_state(ue)
            self._models[ue] = params

    def train(self, keys: Sequence[Key]) -> None:
        for key in keys:
            self._untrained[key.ue] = key

    def get(self, ue: int) -> Params:
        self._train_if_due(ue)
        return self._models.pop(ue)

    def optimizer_state(self, ue: int) -> OptimizerState:
        self._train_for_its_state(ue)
        return self._optimizers.get(ue, {})

    def restore(self, ue: int, optimizer: OptimizerState) -> None:
        self._optimizers[ue] = optimizer

    def close(self) -> None:
        self._shards.clear()
        self._models.clear()
        self._untrained.clear()
        self._optimizers.clear()

    def _train_for_its_state(self, ue: int) -> None:
        """A round whose model nobody fetches still moves an optimiser that remembers."""
        if self.training.keep_optimizer_state:
            self._train_if_due(ue)
        else:
            self._untrained.pop(ue, None)

    def _train_if_due(self, ue: int) -> None:
        key = self._untrained.pop(ue, None)
        if key is None:
            return
        module, shard = self._module, self._shards[ue]
        module.load_state_dict(self._models[ue])
        module.train()
        optimizer = self.training.optimizer.build(module.parameters())
        load_state(optimizer, self._optimizers.get(ue, {}))
        with torch.random.fork_rng(devices=[]):
            self.training.seed_torch(key)
            for order in self.training.orders(key, len(shard.indices)):
                rows = shard.indices.index_select(0, order)
                images, labels = shard.images.index_select(0, rows), shard.labels.index_select(0, rows)
                self.training.step(module, optimizer, images, labels)
        self._models[ue] = params_of(module)
        if self.training.keep_optimizer_state:
            self._optimizers[ue] = flatten_state(optimizer)
