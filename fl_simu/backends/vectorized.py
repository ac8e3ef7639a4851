"""All UEs of a round in one computation, on torch.func."""

from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from fl_simu.backends.base import Backend, BackendSpec, OptimizerState
from fl_simu.backends.devices import open_device, require_device
from fl_simu.backends.stack_trial import try_out
from fl_simu.backends.stacked import Job, Stacked, is_count
from fl_simu.kernel.errors import UserError, require
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.parameters import Params
from fl_simu.kernel.shell import command_line
from fl_simu.ue.training import Key, LocalTraining, Shard


@dataclass(frozen=True)
class Vectorized(BackendSpec):
    """All UEs of a round in one computation, for many UEs with small models; torch 2.

    Args:
        device: "cpu", "cuda" or "cuda:<index>".
        memory_mb: 10^6 bytes that training may take at once, at least 1. UEs beyond that are trained after the
            others, chunk by chunk, of one UE at least.
    """

    device: str = "cpu"
    memory_mb: int = 256

    def __post_init__(self) -> None:
        require_device(self.device)
        require(self.memory_mb >= 1, "memory_mb", self.memory_mb, "at least 1")

    @property
    def fast(self) -> bool:
        return True

    @classmethod
    def missing(cls) -> str:
        return "" if MODERN else "not on this stack"

    def build(self, training: LocalTraining) -> "VectorizedUes":
        if self.missing():
            raise UserError(
                "backend = 'vectorized' is not allowed here: it needs the modern stack (Python 3.10 or newer, "
                f"torch 2); use backend = 'torch', or see `{command_line('doctor')}`"
            )
        return VectorizedUes(training, open_device(self.device), 1e6 * self.memory_mb)


class _Data(NamedTuple):
    """A UE's data, and what of it decides with whom it can be stacked: the arrays and the steps of an epoch."""

    images: Tensor
    labels: Tensor
    rows: np.ndarray
    kind: Tuple[int, int, int]


class VectorizedUes(Backend):
    """UEs are trained together when the first of their models is fetched: all that are due, chunk by chunk.

    The models that come out are slices of their chunk's stack, which lasts as long as the last of them.

    Args:
        training: what every UE does in a round.
        device: where it is done. The models that go in and come out are on the processor.
        memory_bytes: what the training of a chunk of UEs may take.
    """

    def __init__(self, training: LocalTraining, device: torch.device, memory_bytes: float) -> None:
        super().__init__(training)
        self._stacked = Stacked(training, device)
        self.footprint = try_out(self._stacked, training, device)
        self._memory_bytes = memory_bytes
        self._data: Dict[int, _Data] = {}
        self._models: Dict[int, Params] = {}
        self._due: Dict[int, Key] = {}
        self._optimizers: Dict[int, OptimizerState] = {}

    def place(self, ue: int, shard: Shard) -> None:
        rows = shard.indices.numpy()
        steps = -(-len(rows) // self.training.batch_size)
        self._data[ue] = _Data(shard.images, shard.labels, rows, (id(shard.images), id(shard.labels), steps))

    def send(self, ues: Iterable[int], params: Params) -> None:
        for ue in ues:
            if ue in self._due:
                # A round whose model nobody fetches still moves an optimiser that remembers.
                if self.training.keep_optimizer_state:
                    self._train_all()
                else:
                    del self._due[ue]
            self._models[ue] = params

    def train(self, keys: Sequence[Key]) -> None:
        self._due.update((key.ue, key) for key in keys)

    def get(self, ue: int) -> Params:
        if ue in self._due:
            self._train_all()
        return self._models.pop(ue)

    def optimizer_state(self, ue: int) -> OptimizerState:
        if self.training.keep_optimizer_state and ue in self._due:
            self._train_all()
        return self._optimizers.get(ue, {})

    def restore(self, ue: int, optimizer: OptimizerState) -> None:
        self._optimizers[ue] = optimizer

    def close(self) -> None:
        for held in (self._data, self._models, self._due, self._optimizers):
            held.clear()

    def _train_all(self) -> None:
        due = list(self._due.values())
        self._due.clear()
        for keys in self._chunks(due):
            trained = self._stacked.train([self._job(key) for key in keys])
            for key, (params, state) in zip(keys, trained):
                self._models[key.ue] = params
                if state:
                    self._optimizers[key.ue] = state

    def _job(self, key: Key) -> Job:
        images, labels, rows, _ = self._data[key.ue]
        return Job(key, self._models[key.ue], images, labels, rows, self._optimizers.get(key.ue, {}))

    def _chunks(self, keys: List[Key]) -> Iterator[List[Key]]:
        """UEs that can be stacked, those with about as many samples together, as many as fit into the memory."""
        kinds: Dict[Any, List[Key]] = {}
        for key in keys:
            kinds.setdefault(self._kind(key.ue), []).append(key)
        for alike in kinds.values():
            alike.sort(key=lambda key: len(self._data[key.ue].rows))
            chunk: List[Key] = []
            for key in alike:
                # Ascending: no batch before is larger than this UE's.
                batch = min(len(self._data[key.ue].rows), self.training.batch_size)
                if chunk and (len(chunk) + 1) * self.footprint.of(batch) > self._memory_bytes:
                    yield chunk
                    chunk = []
                chunk.append(key)
            yield chunk

    def _kind(self, ue: int) -> Any:
        """What UEs of one stack have in common: arrays, number of steps, what their optimisers remember."""
        state, kind = self._optimizers.get(ue), self._data[ue].kind
        if not state:
            return kind
        return (*kind, *sorted((name, float(state[name]) if is_count(name) else 0.0) for name in state))
