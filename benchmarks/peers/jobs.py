"""The jobs, and the arrays that all frameworks read for a job, from one file."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from fl_simu.kernel.parameters import Params, from_arrays, to_arrays
from fl_simu.models import MODELS

CLASSES = 10


@dataclass(frozen=True)
class Job:
    """One federated job: federated averaging with SGD, one local epoch per round.

    Args:
        name, title: a short name, and the heading on the page.
        data, model: names in fl_simu's registries.
        shape: shape of an image, (C, H, W).
        ues: number of known clients.
        drawn: number of clients per round.
        samples: number of samples per client.
        batch_size, lr: batch size and learning rate of local SGD.
        rounds: number of timed rounds, after one warm-up round that does not count.
    """

    name: str
    title: str
    data: str
    model: str
    shape: Tuple[int, int, int]
    ues: int
    drawn: int
    samples: int
    batch_size: int
    lr: float
    rounds: int

    def module(self) -> nn.Module:
        """The model, the same class for every framework."""
        return MODELS[self.model]().build(self.shape, CLASSES)

    @property
    def loss(self) -> Callable[[Tensor, Tensor], Tensor]:
        """Mean loss of a batch."""
        return MODELS[self.model].loss


_NOTES = Job("notes", "MNIST CNN, 16 clients", "mnist", "mnist_cnn", (1, 28, 28), 16, 16, 500, 64, 0.01, 3)
_PFL = Job("pfl", "CIFAR-10 CNN, 50 of 1000 clients", "cifar10", "pfl_cnn", (3, 32, 32), 1000, 50, 50, 10, 0.1, 3)
_LINEAR = "logistic_regression"
_MANY = Job(
    "many", "logistic regression, 1000 clients", "mnist", _LINEAR, (1, 28, 28), 1000, 1000, 20, 10, 0.01, 5
)
JOBS = {job.name: job for job in (_NOTES, _PFL, _MANY)}
QUICK = {
    "notes": replace(JOBS["notes"], ues=4, drawn=4, samples=64, rounds=2),
    "pfl": replace(JOBS["pfl"], ues=40, drawn=4, samples=20, rounds=2),
    "many": replace(JOBS["many"], ues=50, drawn=50, rounds=2),
}


@dataclass(frozen=True, eq=False)
class Arrays:
    """The input arrays of a job.

    Args:
        images: float32 (N, C, H, W); labels: int64 (N,).
        rows: (ues, samples), the images of each client.
        drawn: (rounds, drawn), the clients of each round, ascending.
        orders: (rounds, ues, samples), the order in which each client goes through its images.
        initial: the initial global model.
        source: where the images come from.
    """

    images: Tensor
    labels: Tensor
    rows: Tensor
    drawn: Tensor
    orders: Tensor
    initial: Params
    source: str

    def of(self, ue: int, round: int) -> Tuple[Tensor, Tensor]:
        """A client's images and labels in the order of a round."""
        rows = self.rows[ue].index_select(0, self.orders[round][ue])
        return self.images.index_select(0, rows), self.labels.index_select(0, rows)

    def batches(self, ue: int, round: int, batch_size: int) -> Iterator[Tuple[Tensor, Tensor]]:
        """The batches of a client's epoch, each gathered when it is needed."""
        for rows in self.rows[ue].index_select(0, self.orders[round][ue]).split(batch_size):
            yield self.images.index_select(0, rows), self.labels.index_select(0, rows)

    def ues(self, round: int) -> List[int]:
        """The clients of a round."""
        return self.drawn[round].tolist()


class Outcome(NamedTuple):
    """The result of a job on a framework.

    Args:
        seconds: seconds of each round; the first does not count.
        params: the global model after the last round.
        cores: number of processes times training threads.
        settings: one line on how the framework was used.
        versions: package -> version.
    """

    seconds: List[float]
    params: Params
    cores: int
    settings: str
    versions: Dict[str, str]


def write(path: Path, job: Job, arrays: Arrays) -> None:
    """Write a job and its arrays to one file."""
    fields = ("images", "labels", "rows", "drawn", "orders")
    np.savez(
        str(path),
        job=json.dumps(asdict(job)),
        source=arrays.source,
        **{name: getattr(arrays, name).numpy() for name in fields},
        **{f"initial/{name}": array for name, array in to_arrays(arrays.initial).items()},
    )


def read(path: Path) -> Tuple[Job, Arrays]:
    """Read a job and its arrays from a file."""
    with np.load(str(path), allow_pickle=False) as file:
        held: Dict[str, Any] = dict(file)
    values = json.loads(str(held.pop("job")))
    initial = {name[len("initial/") :]: held.pop(name) for name in list(held) if name.startswith("initial/")}
    source = str(held.pop("source"))
    tensors = {name: torch.from_numpy(array) for name, array in held.items()}
    job = Job(**{**values, "shape": tuple(values["shape"])})
    return job, Arrays(**tensors, initial=from_arrays(initial), source=source)
