"""The common part of the backends that train UEs in parallel, with each worker in its own process.

A job carries everything that its UE remembers, so nothing is lost with a worker: the outcome is the same,
whichever worker does the job, and whenever and however often.
"""

import logging
import threading
from abc import abstractmethod
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from fl_simu.backends.base import Backend
from fl_simu.backends.devices import is_out_of_memory
from fl_simu.backends.flat import Flat, pack, unpack
from fl_simu.backends.work_queue import Job, WorkQueue
from fl_simu.kernel.errors import UserError, brief, one_line
from fl_simu.kernel.parameters import Params, params_of
from fl_simu.ue.algorithms.base import Groups, flat, grouped
from fl_simu.ue.training import Key, LocalTraining, Shard, Task, Trained

TRIES = 3  # attempts at a job, and at starting a worker
# Maximum memory of trained models that wait to be fetched; at least two per worker are kept.
KEPT_BYTES = 2**28

# The global model, and the BS's other data in a broadcast.
Broadcast = Tuple[Flat, Flat]


class Errand(NamedTuple):
    """The task of a worker for one UE: its key, the memory of its optimiser and its algorithm, its number of
    steps."""

    key: Key
    optimizer: Optional[Flat]
    own: Optional[Flat]
    steps: Optional[int]

    def __str__(self) -> str:
        return f"UE {self.key.ue}"


def errand(task: Task) -> Errand:
    """A task without the parts that all UEs of a broadcast share."""
    memory, own = pack(task.memory) if task.memory else None, pack(flat(task.own)) if task.own else None
    return Errand(task.key, memory, own, task.steps)


def unpacked(model: Flat, memory: Flat) -> Tuple[Params, Params]:
    """The training result of one UE, in its own memory."""
    return unpack(model), unpack(memory)


def packed(start: Params, shared: Groups) -> Broadcast:
    """The parts that all UEs of a broadcast share."""
    return pack(start), pack(flat(shared))


def carry_out(
    sent: Broadcast, errands: Sequence[Errand], train: Callable[[Task], Trained]
) -> List[Tuple[Flat, Flat]]:
    """Train the UEs; returns each one's model and its optimiser's memory."""
    params, shared, trained = unpack(sent[0]), grouped(unpack(sent[1])), []
    for key, optimizer, mine, steps in errands:
        state = unpack(optimizer) if optimizer else {}
        remembered = grouped(unpack(mine)) if mine else {}
        after, memory = train(Task(key, params, state, remembered, shared, steps))
        trained.append((pack(after), pack(memory)))
    return trained


class Lost(Exception):
    """A worker is lost, and the work that it was doing.

    Args:
        why: the reason, as far as it is known.
        memory: whether it may have been out of memory.
    """

    def __init__(self, why: str, memory: bool = True) -> None:
        super().__init__(why)
        self.memory = memory


class SideBySide(Backend):
    """Workers train the UEs as soon as `train` is called, in any order; see `WorkQueue`.

    Trained models wait in this process until they are fetched. If a worker is killed, another worker or its
    replacement trains its UEs, with the same result.
    """

    aside = True

    def __init__(self, training: LocalTraining) -> None:
        super().__init__(training)
        self._hands: List[Hand] = []
        self._shards: Dict[int, Shard] = {}
        self._jobs: Dict[int, Job] = {}
        self._looked_at: Dict[int, Trained] = {}
        self._broadcast: Tuple[Optional[Params], Optional[Groups], Any] = (None, None, None)

    def place(self, ue: int, shard: Shard) -> None:
        self._shards[ue] = shard

    def train(self, tasks: Sequence[Task]) -> None:
        if not self._hands:
            self.open()
        for task in tasks:
            sent = self._put(task.start, task.shared)
            cost = self._cost(len(self._shards[task.key.ue].indices), task.steps)
            self._jobs[task.key.ue] = Job(self.content(task), sent, cost, due=task.due_s)
        self._queue.add([self._jobs[task.key.ue] for task in tasks])

    def get(self, ue: int) -> Trained:
        if ue in self._looked_at:
            return self._looked_at.pop(ue)
        return Trained(*self._queue.fetch(self._jobs.pop(ue)))

    def peek(self, ue: int) -> Params:
        self._looked_at[ue] = self.get(ue)
        return self._looked_at[ue].params

    def give_up(self, ue: int) -> None:
        if ue in self._jobs:
            self._queue.drop(self._jobs.pop(ue))
        self._looked_at.pop(ue, None)

    def close(self) -> None:
        if self._hands:
            self._queue.close()
        for hand in self._hands:
            hand.let_go()
        for hand in self._hands:
            hand.join()
        self._hands.clear()
        for kept in (self._shards, self._jobs, self._looked_at):
            kept.clear()
        self._broadcast = None, None, None

    @abstractmethod
    def open(self) -> None:
        """Find the workers, and call `employ`."""

    @abstractmethod
    def content(self, task: Task) -> Any:
        """The parts of a task that the UEs of a broadcast do not share; has a `key`."""

    def shared(self, sent: Broadcast) -> Any:
        """The form in which workers get a broadcast; made once for each."""
        return sent

    def employ(self, workers: int, hand: "Callable[[WorkQueue], Hand]") -> None:
        """Start to work with this many workers, each with its own hand."""
        self._queue = WorkQueue(workers, room=max(2 * workers, KEPT_BYTES // max(1, self.model_bytes())))
        for _ in range(workers):
            one = hand(self._queue)
            try:
                one.start()
            except RuntimeError as error:  # from threading: the system has no room for another thread
                raise one.refused(error) from None
            self._hands.append(one)

    def model_bytes(self) -> int:
        """Size of a model in bytes."""
        with torch.random.fork_rng(devices=[]):
            return sum(map(bytes_of, params_of(self.training.make_module()).values()))

    def _cost(self, samples: int, steps: Optional[int]) -> int:
        """Number of samples that a UE trains on, over all epochs."""
        steps = self.training.epochs * self.training.steps(samples) if steps is None else steps
        return max(1, steps * min(samples, self.training.batch_size))

    def _put(self, start: Params, shared: Groups) -> Any:
        if not (self._broadcast[0] is start and self._broadcast[1] is shared):
            self._broadcast = start, shared, self.shared(packed(start, shared))
        return self._broadcast[2]


def bytes_of(tensor: Tensor) -> int:
    """Size of a tensor's numbers in bytes."""
    return tensor.numel() * tensor.element_size()


class Hand(threading.Thread):
    """Hands a worker its calls; replaces the worker if it is lost.

    Args:
        queue: the source of the calls.
        backend: the backend's name in messages.
        worker: the word for a worker in messages, such as "an actor".
    """

    def __init__(self, queue: WorkQueue, backend: str, worker: str) -> None:
        super().__init__(daemon=True)
        self._queue = queue
        self._backend = backend
        self._worker = worker

    @abstractmethod
    def start_worker(self) -> None:
        """Start a new worker; returns when it is ready."""

    @abstractmethod
    def let_go(self) -> None:
        """End the worker, if there is one, whatever it is doing."""

    @abstractmethod
    def send(self, call: Sequence[Job]) -> Any:
        """Hand the worker a call, to be done after earlier ones.

        Returns:
            The argument for `answer`.

        Raises:
            Lost: the worker is gone.
        """

    @abstractmethod
    def answer(self, sent: Any) -> Tuple[List[Any], float]:
        """The outcomes of a call's jobs, for training `unpacked`, and the total seconds.

        Raises:
            Lost: the worker is gone.
            Exception: the error that the worker raised.
        """

    def run(self) -> None:
        failed = 0
        while not self._queue.closed:
            try:
                self.let_go()
                self.start_worker()
            except Exception as error:
                failed += 1
                if failed == TRIES:
                    if self._queue.leave(self.refused(error)):
                        logging.getLogger(__name__).warning(
                            "backend %s: one %s fewer, which cannot be started: %s", *self._of(error)
                        )
                    break
            else:
                failed = 0
                self._serve()
        self.let_go()

    def refused(self, error: Exception) -> UserError:
        """The error for a worker that cannot be started, with advice if the system has no room for it."""
        why = "backend {}: no {} can be started: {}".format(*self._of(error))
        if isinstance(error, OSError) or is_out_of_memory(error) or "can't start new thread" in str(error):
            why += f": fewer {self._kind}s (backend.{self._kind}s) may have room"
        return UserError(why)

    def _of(self, error: Exception) -> Tuple[str, str, str]:
        return self._backend, self._kind, getattr(error, "strerror", None) or last_line(error)

    def _serve(self) -> None:
        """Let the worker work until it is lost, or until there are no more calls.

        It already has the next call while it works on one, and continues while this thread unpacks the results.
        """
        begun = self._begin()
        while begun:
            call, sent = begun
            following = self._begin(ahead=True)
            try:
                if isinstance(sent, Lost):
                    raise sent
                outcomes, seconds = self.answer(sent)
            except Lost as error:
                if following:
                    self._queue.again(following[0])
                self._lost(call, error)
                return
            except Exception as error:
                self._failed(call, error)
            else:
                self._queue.done(call, outcomes, seconds)
            begun = following or self._begin()

    def _begin(self, ahead: bool = False) -> Optional[Tuple[List[Job], Any]]:
        """Take a call from the queue and hand it to the worker; None if there is no call to take."""
        while True:
            call = self._queue.take(ahead)
            if not call:
                return None
            try:
                return call, self.send(call)
            except Lost as error:
                # Raised where the answer is awaited: an earlier call may have been answered.
                return call, error
            except Exception as error:
                self._failed(call, error)

    def _failed(self, call: List[Job], error: Exception) -> None:
        if is_out_of_memory(error):
            why = f"out of memory over {_whom(call)}: {brief(one_line(last_line(error)), 200)}: {self._thriftier}"
            told = UserError(f"backend {self._backend}: {why}")
            told.__cause__ = error
            error = told
        self._queue.failed(call, error)

    def _lost(self, call: List[Job], error: Lost) -> None:
        if self._queue.closed:
            return
        for job in call:
            job.tries += 1
        whom, why = _whom(call), last_line(error)
        if call[0].tries < TRIES:
            logging.getLogger(__name__).warning(
                "backend %s: %s was lost (%s); done again: %s", self._backend, self._worker, why, whom
            )
            self._queue.again(call)
        else:
            lost = f"backend {self._backend}: {TRIES} {self._kind}s were lost over {whom}: {why}"
            lost += f" (out of memory?): {self._thriftier}" if error.memory else ""
            self._queue.failed(call, UserError(lost))

    @property
    def _thriftier(self) -> str:
        return f"fewer {self._kind}s (backend.{self._kind}s) or a smaller training.batch_size take less"

    @property
    def _kind(self) -> str:
        return self._worker.split()[-1]


def _whom(call: Sequence[Job]) -> str:
    return brief(", ".join(str(job.content) for job in call))


def last_line(error: Exception) -> str:
    """The last line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()
