"""All UEs of a round in one computation, on torch.func."""

from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

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
                "torch 2); use backend = 'torch', or see `python -m fl_simu doctor`"
            )
        return VectorizedUes(training, open_device(self.device), 1e6 * self.memory_mb)


class _Data(NamedTuple):
    """A UE's data, and what of it decides with whom it can be stacked: the arrays and the steps of an epoch."""

    images: Tensor
    labels: Tensor
    rows: np.ndarray
    kind: Tuple[int, int, int]


@dataclass(eq=False)
class _Broadcast:
    """UEs that are trained at once, in the order of their keys; their jobs, until that is done."""

    jobs: List[Job]
    ues: List[int]
    done: bool = False


class VectorizedUes(Backend):
    """The UEs of a broadcast are trained together, chunk by chunk, when the first of their models is fetched.

    Who is in a stack may change the last bits of the others, so that a broadcast stays together: it is trained
    whole, and anew as a whole after a resume.

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
        # Of each UE that holds a model to be fetched, with whom it trains.
        self._broadcasts: Dict[int, _Broadcast] = {}
        self._optimizers: Dict[int, OptimizerState] = {}
        # Of UEs that have trained a model which nobody has fetched yet, what their optimisers remembered before.
        self._before: Dict[int, OptimizerState] = {}

    def place(self, ue: int, shard: Shard) -> None:
        rows = shard.indices.numpy()
        steps = -(-len(rows) // self.training.batch_size)
        self._data[ue] = _Data(shard.images, shard.labels, rows, (id(shard.images), id(shard.labels), steps))

    def send(self, ues: Iterable[int], params: Params) -> None:
        for ue in ues:
            self.give_up(ue)
            self._models[ue] = params

    def train(self, keys: Sequence[Key]) -> None:
        broadcast = _Broadcast([self._job(key) for key in keys], [key.ue for key in keys])
        self._broadcasts.update((key.ue, broadcast) for key in keys)

    def get(self, ue: int) -> Params:
        self._train_if_due(ue)
        self._forget(ue)
        return self._models.pop(ue)

    def peek(self, ue: int) -> Params:
        self._train_if_due(ue)
        return self._models[ue]

    def give_up(self, ue: int) -> None:
        if self.training.keep_optimizer_state:
            # A round whose model nobody fetches still moves an optimiser that remembers.
            self._train_if_due(ue)
        self._forget(ue)
        self._models.pop(ue, None)

    def optimizer_state(self, ue: int) -> OptimizerState:
        return self._before.get(ue, self._optimizers.get(ue, {}))

    def kept(self, ue: int) -> Optional[Params]:
        """Where optimisers remember, those of a broadcast whose models were fetched have moved on, and it cannot be
        trained again as a whole."""
        moved = self.training.keep_optimizer_state and self._broadcasts[ue].done
        return self._models[ue] if moved else None

    def together(self, ue: int) -> Sequence[int]:
        return self._broadcasts[ue].ues

    def restore(self, ue: int, optimizer: OptimizerState) -> None:
        self._optimizers[ue] = optimizer

    def close(self) -> None:
        for held in (self._data, self._models, self._broadcasts, self._optimizers, self._before):
            held.clear()

    def _forget(self, ue: int) -> None:
        self._broadcasts.pop(ue, None)
        self._before.pop(ue, None)

    def _train_if_due(self, ue: int) -> None:
        broadcast = self._broadcasts.get(ue)
        if broadcast is None or broadcast.done:
            return
        for jobs in self._chunks(broadcast.jobs):
            for job, (params, state) in zip(jobs, self._stacked.train(jobs)):
                if self._broadcasts.get(job.key.ue) is broadcast:
                    self._models[job.key.ue], self._before[job.key.ue] = params, job.state
                    if state:
                        self._optimizers[job.key.ue] = state
        broadcast.done, broadcast.jobs = True, []

    def _job(self, key: Key) -> Job:
        images, labels, rows, _ = self._data[key.ue]
        return Job(key, self._models[key.ue], images, labels, rows, self._optimizers.get(key.ue, {}))

    def _chunks(self, jobs: Sequence[Job]) -> Iterator[List[Job]]:
        """UEs that can be stacked, those with about as many samples together, as many as fit into the memory."""
        kinds: Dict[Any, List[Job]] = {}
        for job in jobs:
            kinds.setdefault(self._kind(job), []).append(job)
        for alike in kinds.values():
            alike.sort(key=lambda job: len(job.rows))
            chunk: List[Job] = []
            for job in alike:
                # Ascending: no batch before is larger than this UE's.
                batch = min(len(job.rows), self.training.batch_size)
                if chunk and (len(chunk) + 1) * self.footprint.of(batch) > self._memory_bytes:
                    yield chunk
                    chunk = []
                chunk.append(job)
            yield chunk

    def _kind(self, job: Job) -> Any:
        """What UEs of one stack have in common: arrays, number of steps, what their optimisers remember."""
        state, kind = job.state, self._data[job.key.ue].kind
        if not state:
            return kind
        return (*kind, *sorted((name, float(state[name]) if is_count(name) else 0.0) for name in state))
