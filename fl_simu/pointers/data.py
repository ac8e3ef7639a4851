"""Federated data sets: parts of a data set, each at one worker."""

import math
from typing import Any, Dict, Iterable, List, Optional

import torch
from torch.utils.data import DataLoader

from fl_simu.pointers.far import Far
from fl_simu.pointers.ids import ID_PROVIDER
from fl_simu.pointers.local import local_worker
from fl_simu.pointers.objects import ObjectPointer, labels
from fl_simu.pointers.pointers import PointerTensor


class BaseDataset:
    """Inputs and targets, in this process or at a worker.

    Args:
        data: inputs; the first axis counts the samples.
        targets: their labels.
        transform: applied to each input when it is read; takes and returns a numpy array.
    """

    is_wrapper = False

    def __init__(
        self,
        data: Any,
        targets: Any,
        transform: Any = None,
        owner: Any = None,
        id: Any = None,
        tags: Any = None,
        description: Optional[str] = None,
    ) -> None:
        self.data, self.targets, self.transform_ = data, targets, transform
        self.owner: Any = owner or local_worker()
        self.id = ID_PROVIDER.pop() if id is None else id
        self.tags, self.description = tags, description

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: Any) -> Any:
        data = self.data[index]
        if self.transform_ is not None:
            data = torch.tensor(self.transform_(data.numpy()))
        return data, self.targets[index]

    def transform(self, transform: Any) -> None:
        """Apply a transform to all inputs at once."""
        self.data = transform(self.data)

    @property
    def location(self) -> Any:
        return self.data.location

    def tag(self, *tags: str) -> "BaseDataset":
        self.tags = {*(self.tags or ()), *tags}
        return self

    def describe(self, description: str) -> "BaseDataset":
        self.description = description
        return self

    def send(self, location: Any) -> "PointerDataset":
        """Send inputs and targets to a worker as one object."""
        worker = self.owner.get_worker(location)
        there = BaseDataset(
            self.data.clone(), self.targets.clone(), None, worker, self.id, self.tags, self.description
        )
        worker.set_obj(there)
        return self.create_pointer(self.owner, location=worker)

    def create_pointer(
        self,
        owner: Any = None,
        garbage_collect_data: bool = False,
        location: Any = None,
        id_at_location: Any = None,
        **_: Any,
    ) -> "PointerDataset":
        """A pointer to this data set at its current location."""
        return PointerDataset(
            self.owner.get_worker(location or self.owner),
            id_at_location or self.id,
            self.owner.get_worker(owner or self.owner),
            None,
            garbage_collect_data,
            self.tags,
            self.description,
        )

    def get(self) -> "BaseDataset":
        """Bring inputs and targets back."""
        self.data.get_()
        self.targets.get_()
        return self

    def get_data(self) -> Any:
        return self.data

    def get_targets(self) -> Any:
        return self.targets

    def federate(self, workers: Any) -> "FederatedDataset":
        return dataset_federate(self, workers)

    def __str__(self) -> str:
        """As in 0.2.4, which prints only this; `repr` prints the contents."""
        return "BaseDataset>None"

    def __repr__(self) -> str:
        text = f"BaseDataset\n\tData: {self.data}\n\ttargets: {self.targets}"
        if self.tags:
            text += "\n\tTags: " + "".join(f"{tag} " for tag in self.tags)
        if self.description is not None:
            first = str(self.description).split("\n")[0]
            text += f"\n\tDescription: {first}..."
        return text


class PointerDataset(ObjectPointer):
    """A BaseDataset at a worker, which keeps it when the pointer is deleted, as in 0.2.4.

    Its inputs and targets are pointers to those at the worker.
    """

    def _pointer(self, tensor: Any) -> Any:
        if isinstance(tensor, Far):
            return PointerTensor(self.location, tensor.id, self.owner, shape=tensor.known_shape).wrap()
        self.location.keep(tensor, ID_PROVIDER.pop())
        return tensor.create_pointer(self.location, owner=self.owner).wrap()

    @property
    def _held(self) -> Any:
        return self.location.held(self.id_at_location)

    @property
    def data(self) -> Any:
        return self._pointer(self._held.data)

    @property
    def targets(self) -> Any:
        return self._pointer(self._held.targets)

    def __len__(self) -> int:
        return len(self._held)

    def __getitem__(self, index: Any) -> Any:
        data, target = self._held[index]
        return self._pointer(data), self._pointer(target)

    def get(self, user: Any = None, reason: str = "", deregister_ptr: bool = True) -> BaseDataset:
        found = super().get(user, reason)
        found.owner = self.owner
        return found

    def __repr__(self) -> str:
        return f"[PointerDataset | owner: {self.owner.id}, id:{self.id}{labels(self)}"


def dataset_federate(dataset: Any, workers: Any) -> "FederatedDataset":
    """Cut a data set, in its order, into equal parts, one for each worker, and send them to the workers.

    The last part may be smaller, and there may be fewer parts than workers.
    """
    size = math.ceil(len(dataset) / len(workers))
    parts = []
    for number, (data, targets) in enumerate(DataLoader(dataset, batch_size=size)):
        worker = workers[number % len(workers)]
        parts.append(BaseDataset(data.send(worker), targets.send(worker)))
    return FederatedDataset(parts)


class FederatedDataset:
    """Data sets at workers, by worker id; the input of FederatedDataLoader.

    Args:
        datasets: each has `data` with a location. If two are at one worker, the later one counts.
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets: Dict[Any, Any] = {dataset.data.location.id: dataset for dataset in datasets}

    @property
    def workers(self) -> List[Any]:
        return list(self.datasets)

    def __getitem__(self, worker_id: Any) -> Any:
        return self.datasets[worker_id]

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self.datasets.values())

    def __repr__(self) -> str:
        workers = ", ".join(str(worker) for worker in self.workers)
        return f"FederatedDataset\n    Distributed accross: {workers}\n    Number of datapoints: {len(self)}\n"
