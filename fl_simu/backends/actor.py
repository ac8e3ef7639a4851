"""What trains UEs in a process of its own; how it is told to, and what it answers, is the same whoever runs it."""

import socket
import time
import warnings
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from fl_simu.backends.devices import CPU
from fl_simu.backends.flat import Flat, pack, unpack
from fl_simu.backends.trainer import Trainer
from fl_simu.kernel.machine import prepare
from fl_simu.ue.algorithms.base import grouped
from fl_simu.ue.training import Key, LocalTraining, Shard, Task


class Errand(NamedTuple):
    """What an actor is told of one UE: its key, which arrays its data are rows of, the rows, what its optimiser
    and its algorithm remember, and its number of steps."""

    key: Key
    arrays: int
    rows: np.ndarray
    optimizer: Optional[Flat]
    own: Optional[Flat]
    steps: Optional[int]


class Actor:
    """One process of one thread, with one resident module.

    Args:
        training: what every UE does in a round.
        torch_version: of the process that asks.
    """

    def __init__(self, training: LocalTraining, torch_version: str) -> None:
        if torch.__version__ != torch_version:
            raise RuntimeError(f"torch {torch.__version__} on {socket.gethostname()}, {torch_version} here")
        prepare(1)
        self._trainer = Trainer(training, CPU)
        self._arrays: List[Tuple[Tensor, Tensor]] = []

    def ready(self) -> None:
        """Answer, as soon as there is somebody to do so."""

    def hold(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Keep a view of these arrays, which lie in the object store; they are numbered as they come."""
        self._arrays.append((_view(images), _view(labels)))

    def train(self, sent: Tuple[Flat, Flat], errands: Sequence[Errand]) -> Tuple[List[Tuple[Flat, Flat]], float]:
        """Each UE's trained model and its optimiser's memory, and the seconds that all of it took.

        Args:
            sent: the global model, and what the BS sends beside it.
            errands: one a UE.
        """
        started_s = time.perf_counter()
        params, shared, trained = unpack(sent[0]), grouped(unpack(sent[1])), []
        for key, number, rows, optimizer, mine, steps in errands:
            shard = Shard(*self._arrays[number], torch.from_numpy(np.array(rows)))
            state = unpack(optimizer) if optimizer else {}
            remembered = grouped(unpack(mine)) if mine else {}
            after, memory = self._trainer.train(Task(key, params, state, remembered, shared, steps), shard)
            trained.append((pack(after), pack(memory)))
        return trained, time.perf_counter() - started_s


def _view(array: np.ndarray) -> Tensor:
    """A tensor on an array that nobody may write to, and nobody does: a training set is only ever picked from."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        return torch.from_numpy(array)
