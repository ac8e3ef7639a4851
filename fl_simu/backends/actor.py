"""The actor that trains UEs in a process of Ray."""

import socket
import time
import warnings
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from fl_simu.backends.devices import CPU
from fl_simu.backends.flat import Flat
from fl_simu.backends.side_by_side import Broadcast, Errand, carry_out
from fl_simu.backends.trainer import Trainer
from fl_simu.kernel.machine import prepare
from fl_simu.ue.training import Key, LocalTraining, Shard, Task, Trained


class RowsErrand(NamedTuple):
    """An errand for one UE: its key, the errand, the number of its arrays, and the rows that are its data."""

    key: Key
    errand: Errand
    arrays: int
    rows: np.ndarray

    def __str__(self) -> str:
        return str(self.errand)


class Actor:
    """A single-threaded process with one resident module.

    Args:
        training: the local training of every UE in a round.
        torch_version: the torch version of the process that created it.
    """

    def __init__(self, training: LocalTraining, torch_version: str) -> None:
        if torch.__version__ != torch_version:
            raise RuntimeError(f"torch {torch.__version__} on {socket.gethostname()}, {torch_version} here")
        prepare(1)
        self._trainer = Trainer(training, CPU)
        self._arrays: List[Tuple[Tensor, Tensor]] = []

    def ready(self) -> None:
        """Returns as soon as the actor is up."""

    def hold(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Keep a view of these arrays, which are in the object store; they are numbered as they arrive."""
        self._arrays.append((_view(images), _view(labels)))

    def train(self, sent: Broadcast, errands: Sequence[RowsErrand]) -> Tuple[List[Tuple[Flat, Flat]], float]:
        """Train; returns each UE's model and its optimiser's memory, and the total seconds."""
        started_s, places = time.perf_counter(), {one.key: one for one in errands}

        def train(task: Task) -> Trained:
            place = places[task.key]
            rows = torch.from_numpy(np.array(place.rows))
            return self._trainer.train(task, Shard(*self._arrays[place.arrays], rows))

        trained = carry_out(sent, [one.errand for one in errands], train)
        return trained, time.perf_counter() - started_s


def _view(array: np.ndarray) -> Tensor:
    """A tensor on a read-only array. Nobody writes to it: a training set is only ever read."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        return torch.from_numpy(array)
