"""Federated data sets: parts of a data set, each at a worker."""

import math
from typing import Any, Dict, Iterable, List, Optional

import torch
from torch.utils.data import DataLoader

from fl_simu.pointers.ids import ID_PROVIDER
from fl_simu.pointers.worker import local_worker


class BaseDataset:
    """Inputs and targets, here or at a worker.

    Args:
        data: inputs, sample by sample.
        targets: their labels.
        transform: done to each input as it is taken, from and to numpy.
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
        """Do this to all inputs at once."""
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
        return PointerDataset(worker, self.id, self.owner, tags=self.tags, description=self.description)

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

    def __repr__(self) -> str:
        text = f"BaseDataset\n\tData: {self.data}\n\ttargets: {self.targets}"
        if self.tags:
            text += "\n\tTags: " + "".join(f"{tag} " for tag in self.tags)
        if self.description is not None:
            first = str(self.description).split("\n")[0]
            text += f"\n\tDescription: {first}..."
        return text


class PointerDataset:
    """A BaseDataset at a worker; its inputs and targets are pointers to what they are there."""

    def __init__(
        self, location: Any, id_at_location: Any, owner: Any, tags: Any = None, description: Optional[str] = None
    ) -> None:
        self.location, self.id_at_location, self.owner = location, id_at_location, owner
        self.id = ID_PROVIDER.pop()
        self.tags, self.description = tags, description
        self.garbage_collect_data = True

    def __del__(self) -> None:
        if self.garbage_collect_data:
            self.location._objects.pop(self.id_at_location, None)

    def _there(self) -> BaseDataset:
        return self.location.get_obj(self.id_at_location)

    def _pointer(self, tensor: Any) -> Any:
        self.location.keep(tensor, tensor.id)
        return tensor.create_pointer(self.location, owner=self.owner).wrap()

    @property
    def data(self) -> Any:
        return self._pointer(self._there().data)

    @property
    def targets(self) -> Any:
        return self._pointer(self._there().targets)

    def __len__(self) -> int:
        return len(self._there())

    def __getitem__(self, index: Any) -> Any:
        data, target = self._there()[index]
        return self._pointer(data), self._pointer(target)

    def get(self, *_: Any, **__: Any) -> BaseDataset:
        found = self._there()
        self.location.rm_obj(self.id_at_location)
        self.garbage_collect_data = False
        found.owner = self.owner
        return found

    def wrap(self) -> "PointerDataset":
        return self

    def __repr__(self) -> str:
        return f"[PointerDataset | owner: {self.owner.id}, id:{self.id}"


def dataset_federate(dataset: Any, workers: Any) -> "FederatedDataset":
    """Cut a data set into equal parts in its order, one for each worker, and send them there.

    The last part may be smaller, and there may be fewer parts than workers.
    """
    size = math.ceil(len(dataset) / len(workers))
    parts = []
    for number, (data, targets) in enumerate(DataLoader(dataset, batch_size=size)):
        worker = workers[number % len(workers)]
        parts.append(BaseDataset(data.send(worker), targets.send(worker)))
    return FederatedDataset(parts)


class FederatedDataset:
    """Data sets at workers, by the worker's id; what FederatedDataLoader takes.

    Args:
        datasets: each with `data` that has a location. Of two at one worker the later counts.
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
