"""All UEs of a round in one computation, on torch.func."""

from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from fl_simu.backends.base import Backend, BackendSpec
from fl_simu.backends.devices import is_out_of_memory
from fl_simu.backends.stack_trial import try_out
from fl_simu.backends.stacked import Job, Stacked, is_count
from fl_simu.kernel.devices import open_device, require_device
from fl_simu.kernel.errors import UserError, brief, one_line
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.limits import require_count
from fl_simu.kernel.parameters import Params
from fl_simu.kernel.shell import command_line
from fl_simu.ue.training import LocalTraining, Shard, Task, Trained


@dataclass(frozen=True)
class Vectorized(BackendSpec):
    """All UEs of a round in one computation, for many UEs with small models; torch 2.

    It needs the modern stack. The models are stacked along a leading axis, with `torch.func`. The draws are those
    of every backend, and shards may have any sizes. The weights of a round agree with those of `torch` within 1e-5
    of their norm. With `rmsprop` they agree within 1e-4: its first steps divide a gradient by its own magnitude,
    even where that is mostly rounding error. The plain loop itself is then no closer to exact arithmetic.

    When the first model of a round is fetched, all UEs that are due are trained, including those whose upload will
    be late. The models stay in memory until they are fetched, which `memory_mb` does not count. A trial when the
    experiment is checked determines the memory that a UE takes: parameters, gradients, the optimiser's memory, and
    what the backward pass needs per sample of a batch. Measured peaks were 0.75 to 1 times that.

    Some models are refused before training: those that draw random numbers (a dropout above 0), that keep more
    than parameters (batch norm), that `torch.func` cannot batch (LSTM), or whose gradients in a stack differ from
    the model's own. Every model is first tried on random images.

    On one busy core, `logistic_regression` on 28x28 images with 1000 UEs of 20 samples takes 0.09 to 0.13 s a
    round with batches of 10, 8 times less than a bare loop of torch in the same process. With batches of 20 it
    takes 0.06 to 0.1 s, 7 to 9 times less. `mlp` takes 3 to 5 times less (`python
    benchmarks/vectorized_rounds.py`). Convolutions gain nothing on a CPU, where a stack of them is a slow grouped
    convolution: `mnist_cnn` took 0.8 to 1.3 times as long as the bare loop (`--model mnist_cnn --ues 4` and `--ues
    8 --samples 64 --batch-size 32`).

    Args:
        device: as for `torch`: "cpu", "cuda" or "cuda:<index>".
        memory_mb: memory in 10^6 bytes that training may take at once, 1 to 10^9. UEs that do not fit are trained
            after the others, in chunks of at least one UE.
    """

    device: str = "cpu"
    memory_mb: int = 256

    def __post_init__(self) -> None:
        require_device(self.device)
        require_count("memory_mb", self.memory_mb, most=10**9)

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
    """A UE's data, and the kind that UEs in a stack must share: the arrays and the steps of an epoch."""

    images: Tensor
    labels: Tensor
    rows: np.ndarray
    kind: Tuple[int, int, int]


@dataclass(eq=False)
class _Broadcast:
    """UEs that are trained together, in the order of their tasks; it keeps their jobs until then."""

    jobs: List[Job]
    trained: Dict[int, Trained] = field(default_factory=dict)


class VectorizedUes(Backend):
    """The UEs of a broadcast are trained together, chunk by chunk, when the first of their models is fetched.

    The other UEs in a stack may change the last bits of a UE's model. A broadcast therefore stays together: it is
    trained as a whole, and again as a whole after a resume.

    The resulting models are slices of their chunk's stack, which exists as long as the last of them.

    Args:
        training: the local training of every UE in a round.
        device: the training device. The models that go in and come out are on the processor.
        memory_bytes: the memory that the training of a chunk of UEs may take.
    """

    stacks = True

    def __init__(self, training: LocalTraining, device: torch.device, memory_bytes: float) -> None:
        super().__init__(training)
        self._stacked = Stacked(training, device)
        self.footprint = try_out(self._stacked, training, device)
        self._memory_bytes = memory_bytes
        self._data: Dict[int, _Data] = {}
        # For each UE with a model to be fetched, the broadcast in which it trains.
        self._broadcasts: Dict[int, _Broadcast] = {}

    def place(self, ue: int, shard: Shard) -> None:
        rows = shard.indices.numpy()
        steps = self.training.steps(len(rows))
        self._data[ue] = _Data(shard.images, shard.labels, rows, (id(shard.images), id(shard.labels), steps))

    def train(self, tasks: Sequence[Task]) -> None:
        broadcast = _Broadcast([self._job(task) for task in tasks])
        self._broadcasts.update((task.key.ue, broadcast) for task in tasks)

    def get(self, ue: int) -> Trained:
        self._train_if_due(self._broadcasts[ue])
        return self._broadcasts.pop(ue).trained.pop(ue)

    def peek(self, ue: int) -> Params:
        self._train_if_due(self._broadcasts[ue])
        return self._broadcasts[ue].trained[ue].params

    def give_up(self, ue: int) -> None:
        broadcast = self._broadcasts.pop(ue, None)
        if broadcast:
            broadcast.trained.pop(ue, None)

    def close(self) -> None:
        for held in (self._data, self._broadcasts):
            held.clear()

    def _train_if_due(self, broadcast: _Broadcast) -> None:
        jobs, broadcast.jobs = broadcast.jobs, []
        for chunk in self._chunks(jobs):
            for job, trained in zip(chunk, self._train(chunk)):
                ue = job.task.key.ue
                # A UE that was given up meanwhile trained only for the others' sake.
                if self._broadcasts.get(ue) is broadcast:
                    broadcast.trained[ue] = trained

    def _train(self, jobs: List[Job]) -> Iterator[Trained]:
        try:
            return self._stacked.train(jobs)
        except Exception as error:
            if is_out_of_memory(error):
                reason = brief(one_line(str(error)), 200)
                raise UserError(
                    f"backend vectorized is out of memory with {len(jobs)} UEs at once; a lower backend.memory_mb "
                    f"trains fewer at a time: {reason}"
                ) from error
            raise

    def _job(self, task: Task) -> Job:
        images, labels, rows, _ = self._data[task.key.ue]
        return Job(task, images, labels, rows)

    def _chunks(self, jobs: Sequence[Job]) -> Iterator[List[Job]]:
        """Chunks of UEs that can be stacked, sorted by number of samples, each as large as the memory allows."""
        kinds: Dict[Any, List[Job]] = {}
        for job in jobs:
            kinds.setdefault(self._kind(job), []).append(job)
        for alike in kinds.values():
            alike.sort(key=lambda job: len(job.rows))
            chunk: List[Job] = []
            for job in alike:
                # Sorted in ascending order: no earlier batch is larger than this UE's.
                batch = min(len(job.rows), self.training.batch_size)
                if chunk and (len(chunk) + 1) * self.footprint.of(batch) > self._memory_bytes:
                    yield chunk
                    chunk = []
                chunk.append(job)
            yield chunk

    def _kind(self, job: Job) -> Any:
        """The properties that UEs in a stack share: arrays, number of steps, the kinds of other data from the
        BS, and what their optimisers remember."""
        memory = job.task.memory
        kind = (self._data[job.task.key.ue].kind, job.task.steps, *sorted(job.task.shared))
        if not memory:
            return kind
        return (*kind, *sorted((name, float(memory[name]) if is_count(name) else 0.0) for name in memory))
