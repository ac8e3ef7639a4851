"""Processes of this machine: long-lived workers, forked once their data are there, train the UEs.

A worker has the data, the training and the model's class because it is a copy of this process. None of them is
sent, so objects defined in a notebook work too. Models travel as flat arrays in memory that both processes share.
"""

import contextlib
import os
import pickle
import queue
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from fl_simu.backends.base import Backend, BackendSpec, Measuring
from fl_simu.backends.devices import CPU
from fl_simu.backends.flat import Flat, unpack
from fl_simu.backends.nursery import Nursery
from fl_simu.backends.shared_memory import Boxes, Found
from fl_simu.backends.side_by_side import Broadcast, Errand, Hand, Lost, SideBySide, carry_out, errand, unpacked
from fl_simu.backends.syft_workers import Syft, import_syft
from fl_simu.backends.trainer import Trainer
from fl_simu.backends.work_queue import Job, WorkQueue
from fl_simu.kernel.errors import UserError, require
from fl_simu.kernel.limits import MOST
from fl_simu.kernel.machine import cores, prepare
from fl_simu.kernel.parameters import Params
from fl_simu.ue.training import NOTHING, LocalTraining, Shard, Task, Trained

INNER = ("torch", "syft")
# Capacity of a box, in models or in bytes; the rest travels through the pipe.
BOX_MODELS, BOX_BYTES = 8, 2**24


@dataclass(frozen=True)
class Processes(BackendSpec):
    """Single-threaded worker processes train the UEs in parallel, on the cores of this machine.

    The weights equal those of `inner` in one process with `threads = 1`, bit for bit, for any number of workers
    and any order of completion. All UEs of a broadcast begin to train at once, including those whose upload will
    be late. `threads` applies to evaluation and aggregation only.

    This process holds trained models until they are fetched: at most 256 MiB, or two models per worker if that is
    more. While this space is full, no other UE begins. When a worker is killed, the run prints a line and trains
    the worker's UEs again. If three workers are lost over the same UEs, the run ends with an error.

    The workers are forked from this process, so the data and the model's class need not be sent to them. This
    backend is for Linux.

    Args:
        workers: number of processes; 0 means one for each core that this process may use.
        inner: how each worker trains: "torch", or "syft" with VirtualWorkers for the UEs that it trains.
        exact: as for `torch`.
    """

    workers: int = 0
    inner: str = "torch"
    exact: bool = False

    def __post_init__(self) -> None:
        require(0 <= self.workers <= MOST, "workers", self.workers, f"0 or more, at most {MOST}")
        require(self.inner in INNER, "inner", self.inner, "one of " + ", ".join(INNER))

    @property
    def fast(self) -> bool:
        return not self.exact and self.inner == "torch"

    @classmethod
    def missing(cls) -> str:
        return "" if sys.platform.startswith("linux") else "processes are forked, which is safe on Linux only"

    def how(self) -> str:
        workers = self.workers or cores()
        count = f"{workers} workers" if workers > 1 else "1 worker"
        return f"{count} with syft of {Syft.whose()}" if self.inner == "syft" else count

    def build(self, training: LocalTraining) -> "ProcessPool":
        require(not self.missing(), "backend.name", "processes", self.missing())
        if self.inner == "syft":
            Syft().check(training)
        return ProcessPool(training, self)


class ProcessPool(SideBySide):
    """Worker processes train the UEs.

    Args:
        training: the local training of every UE in a round.
        spec: the number of workers, and how they train.
    """

    def __init__(self, training: LocalTraining, spec: Processes) -> None:
        super().__init__(training)
        self._spec = spec
        self._nursery: Optional[Nursery] = None
        self._broadcasts = 0

    def open(self) -> None:
        workers, size = self._spec.workers or cores(), max(BOX_MODELS * self.model_bytes(), BOX_BYTES)
        try:
            boxes = [Boxes(size) for _ in range(workers)]
        except OSError as error:
            shared = f"{4 * size / 1e6:,.0f} MB of memory with each of {workers} workers"
            raise UserError(
                f"backend processes: this process cannot share {shared}: {error.strerror}: fewer workers "
                "(backend.workers), a smaller model, or backend torch need less"
            ) from None
        worker = Worker(self.training, self._spec.inner, self._shards, self.measuring, boxes)
        try:
            self._nursery = nursery = Nursery(worker.prepare, worker.serve)
        except OSError as error:
            raise UserError(
                f"backend processes: no process can be forked: {error.strerror}: backend torch needs none"
            ) from None
        numbers = iter(range(workers))
        self.employ(workers, lambda queue: _Hand(queue, nursery, next(numbers), boxes))

    def content(self, task: Task) -> Errand:
        return errand(task)

    def shared(self, sent: Broadcast) -> "Numbered":
        self._broadcasts += 1
        return Numbered(self._broadcasts, sent)

    def measure(self, params: Params, items: Sequence[Any]) -> Measuring:
        if not self._hands:
            self.open()
        # A forward pass takes about a third of a step.
        cost = self.training.batch_size / 3
        sent = self._put(params, NOTHING)
        jobs = [Job(Measure(item), sent, cost, large=False) for item in items]
        self._queue.add(jobs, first=True)
        return lambda: [self._queue.fetch(job)[0] for job in jobs]

    def close(self) -> None:
        super().close()
        if self._nursery:
            self._nursery.close()
            self._nursery = None


class Numbered(NamedTuple):
    """A broadcast and its number, by which a worker knows whether it has it already."""

    number: int
    sent: Broadcast


class Measure(NamedTuple):
    """A request to measure the global model."""

    item: Any

    def __str__(self) -> str:
        return f"a measure of the model ({self.item})"


class Call(NamedTuple):
    """A message to a worker.

    Args:
        box: which of the two boxes in each direction it uses.
        news: whether the broadcast differs from the previous one.
        jobs: errands without the memory of the UEs, or measures.
        flats: the broadcast if it is new; then, for each UE that has them, the memory of its optimiser and of its
            algorithm.
    """

    box: int
    news: bool
    jobs: Sequence[Union[Errand, Measure]]
    flats: Found


class Answer(NamedTuple):
    """A worker's reply.

    Args:
        trained: for each UE in turn, its model and its optimiser's memory.
        measured: the results of the measures.
        seconds: total time.
        error: the error that occurred; None if there was none.
        trace: its traceback.
    """

    trained: Found
    measured: Sequence[Any]
    seconds: float
    error: Optional[Exception] = None
    trace: str = ""


class Worker:
    """The work of a worker process.

    Args:
        training: the local training of every UE in a round.
        inner: how each worker trains.
        shards: the data of each UE.
        measuring: see `Backend.measure`.
        boxes: the boxes of each worker.
    """

    def __init__(
        self,
        training: LocalTraining,
        inner: str,
        shards: Dict[int, Shard],
        measuring: Optional[Callable[[Params, Any], Any]],
        boxes: Sequence[Boxes],
    ) -> None:
        self._training = training
        self._inner = inner
        self._shards = shards
        self._measuring = measuring
        self._boxes = boxes

    def prepare(self) -> None:
        """The preparation that all workers share, done before they are forked."""
        prepare(1)
        if self._inner == "syft":
            import_syft()

    def serve(self, pipe: Any, number: int) -> None:
        """Answer calls until no more can come."""
        try:
            if number:
                # Only the first worker prints notices that are printed once.
                sys.stderr = open(os.devnull, "w")  # noqa: SIM115
            boxes, train, calls = self._boxes[number], self._train(), _received(pipe)
        except Exception as error:
            pipe.send(_sendable(error))
            return
        sent: Optional[Broadcast] = None
        pipe.send(None)
        while True:
            call = calls.get()
            started_s = time.perf_counter()
            try:
                flats = iter(boxes.inward[call.box].read(call.flats))
                if call.news:
                    # Copied: the box is overwritten while the broadcast is still in use.
                    sent = next(flats).copy(), next(flats).copy()
                assert sent is not None
                errands = [
                    one._replace(optimizer=one.optimizer and next(flats), own=one.own and next(flats))
                    for one in call.jobs
                    if isinstance(one, Errand)
                ]
                trained = carry_out(sent, errands, train) if errands else []
                measured = self._measured(sent, [one.item for one in call.jobs if isinstance(one, Measure)])
                seconds = time.perf_counter() - started_s
                found = boxes.outward[call.box].write([flat for one in trained for flat in one])
                answer = Answer(found, measured, seconds)
            except Exception as error:
                answer = Answer((), (), 0.0, _sendable(error), traceback.format_exc())
            pipe.send(answer)

    def _measured(self, sent: Broadcast, items: Sequence[Any]) -> Sequence[Any]:
        if not items:
            return ()
        assert self._measuring is not None
        params = unpack(sent[0])
        return [self._measuring(params, item) for item in items]

    def _train(self) -> Callable[[Task], Trained]:
        shards = self._shards
        if self._inner == "torch":
            trainer = Trainer(self._training, CPU)
            return lambda task: trainer.train(task, shards[task.key.ue])
        backend: Backend = Syft().build(self._training)
        placed = set()

        def train(task: Task) -> Trained:
            ue = task.key.ue
            if ue not in placed:
                backend.place(ue, shards[ue])
                placed.add(ue)
            backend.train([task])
            return backend.get(ue)

        return train


def _received(pipe: Any) -> "queue.Queue[Call]":
    """Queue the calls as they arrive, so that the sender of a call never waits until an earlier answer is read.

    When the sender is gone, the worker ends, whatever it is doing.
    """
    calls: queue.Queue[Call] = queue.Queue()

    def receive() -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                calls.put(pipe.recv())
        os._exit(0)

    threading.Thread(target=receive, daemon=True).start()
    return calls


def _sendable(error: Exception) -> Exception:
    """An error that can be sent through a pipe; one that cannot be sent is replaced by its message."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        kind = MemoryError if isinstance(error, MemoryError) else RuntimeError
        return kind(f"{type(error).__name__}: {error}")
    return error


class _Trace(Exception):
    """The traceback of an error in a worker, set as the cause of the error that is raised here."""

    def __str__(self) -> str:
        return "\n" + str(self.args[0])


class _Hand(Hand):
    """Hands a worker its calls, which use its two pairs of boxes in turn."""

    def __init__(self, queue: WorkQueue, nursery: Nursery, number: int, boxes: Sequence[Boxes]) -> None:
        super().__init__(queue, "processes", "a worker")
        self._nursery = nursery
        self._number = number
        self._boxes = boxes[number]
        self._pipe: Any = None
        self._status: Optional[int] = None
        self._calls = 0
        self._known = 0

    def let_go(self) -> None:
        self._nursery.end(self._number)

    def start_worker(self) -> None:
        self._pipe, self._known, self._status = self._nursery.fork(self._number), 0, None
        error = self._received()
        if error:
            raise error

    def send(self, call: Sequence[Job]) -> Tuple[int, Sequence[Job]]:
        box, (number, sent) = self._calls % 2, call[0].shared
        news = () if number == self._known else sent
        flats, jobs = [*news], []
        for job in call:
            content = job.content
            if isinstance(content, Errand):
                flats += [flat for flat in (content.optimizer, content.own) if flat]
                content = content._replace(optimizer=content.optimizer and EMPTY, own=content.own and EMPTY)
            jobs.append(content)
        told = Call(box, bool(news), jobs, self._boxes.inward[box].write(flats))
        message = pickle.dumps(told, pickle.HIGHEST_PROTOCOL)
        try:
            self._pipe.send_bytes(message)
        except OSError as error:
            raise self._gone() from error
        self._calls, self._known = self._calls + 1, number
        return box, call

    def answer(self, sent: Tuple[int, Sequence[Job]]) -> Tuple[List[Any], float]:
        told: Answer = self._received()
        if told.error:
            raise told.error from _Trace(told.trace)
        box, call = sent
        flats, measured = iter(self._boxes.outward[box].read(told.trained)), iter(told.measured)
        # In a tuple, since an outcome must not be None.
        return [
            unpacked(next(flats), next(flats)) if job.large else (next(measured),) for job in call
        ], told.seconds

    def _received(self) -> Any:
        try:
            return self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._gone() from error

    def _gone(self) -> Lost:
        """The way in which the worker ended."""
        # Of two calls under way, both may find this out, but the nursery reports it only once.
        if self._status is None:
            self._status = self._nursery.end(self._number)
        if self._status is None:
            return Lost("its process has ended")
        if self._status >= 0:
            return Lost(f"its process has ended with status {self._status}", memory=False)
        number, names = -self._status, {one.value: one.name for one in signal.Signals}
        return Lost(f"killed by {names.get(number, f'signal {number}')}", memory=number in OF_MEMORY)


# Placeholder for an array that travels in a box.
EMPTY = Flat((), {})
# The signals with which the kernel kills a process that needs a page when memory is exhausted.
OF_MEMORY = (signal.SIGKILL, signal.SIGBUS)
