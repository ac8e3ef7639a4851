"""FederatedDataLoader: batches of pointers, each batch at one worker, in the order of 0.2.4."""

import logging
import math
from typing import Any, Callable, Dict, Iterator, List, Optional

import torch
from torch.utils.data.dataloader import default_collate

from fl_simu.pointers.data import BaseDataset
from fl_simu.pointers.wrappers import Wrapper


class FederatedDataLoader:
    """Batches of a federated data set.

    One iterator goes through the workers one after the other. Several iterators run in parallel, and each step
    then gives a dict: worker -> (data, target).

    Args:
        federated_dataset: a FederatedDataset.
        batch_size: samples per batch.
        shuffle: use a new order in every epoch, drawn from torch's generator.
        num_iterators: number of parallel iterators, at most one less than the number of workers.
        drop_last: leave out a smaller last batch.
        collate_fn: makes a batch from a list of samples.
        iter_per_worker: use one iterator per worker; the shortest one ends the epoch.
    """

    def __init__(
        self,
        federated_dataset: Any,
        batch_size: int = 8,
        shuffle: bool = False,
        num_iterators: int = 1,
        drop_last: bool = False,
        collate_fn: Callable = default_collate,
        iter_per_worker: bool = False,
        **others: Any,
    ) -> None:
        if others:
            options = ", ".join(f"{key}: {value}" for key, value in others.items())
            logging.warning("The following options are not supported: %s", options)
        if not hasattr(federated_dataset, "workers"):
            raise Exception(
                "Your dataset is not a FederatedDataset, please use torch.utils.data.DataLoader instead."
            )
        self.federated_dataset = federated_dataset
        self.workers: List[Any] = federated_dataset.workers
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.collate_fn = collate_fn
        self.iter_per_worker = iter_per_worker
        several = max(1, len(self.workers) - 1)
        self.num_iterators = len(self.workers) if iter_per_worker else min(num_iterators, several)

    def __len__(self) -> int:
        length = len(self.federated_dataset) / self.batch_size
        return int(length) if self.drop_last else math.ceil(length)

    def __iter__(self) -> "FederatedDataLoader":
        self.iterators: List[_Walk] = []
        for first in range(self.num_iterators):
            self.iterators.append(_Walk(self, first))
        return self

    def __next__(self) -> Any:
        if self.num_iterators == 1:
            return next(self.iterators[0])
        batches = [next(iterator) for iterator in self.iterators]
        return {data.location: (data, target) for data, target in batches}

    def batches(self, worker: Any) -> Iterator[List[int]]:
        """Indices of one worker's batches in one epoch."""
        size = len(self.federated_dataset[worker])
        # Not torch's sampler, which has its own generator in newer versions: the order must be that of 0.2.4.
        order = torch.randperm(size).tolist() if self.shuffle else list(range(size))
        end = size - size % self.batch_size if self.drop_last else size
        for start in range(0, end, self.batch_size):
            yield order[start : start + self.batch_size]

    def fetch(self, worker: Any, indices: List[int]) -> Any:
        dataset = self.federated_dataset[worker]
        if self.collate_fn is default_collate and _is_plain(dataset):
            here: Any = torch.tensor(indices)
            rows = here.send(dataset.data.location)
            return dataset.data[rows], dataset.targets[rows]
        return self.collate_fn([dataset[index] for index in indices])


def _is_plain(dataset: Any) -> bool:
    """Whether a batch consists of rows of two remote tensors, so that samples need not be fetched one by one."""
    tensors = (dataset.data, dataset.targets) if type(dataset) is BaseDataset else (None,)
    return all(isinstance(tensor, Wrapper) for tensor in tensors) and dataset.transform_ is None


class _Walk:
    """One iterator: a worker's batches, then those of the next worker that no other iterator is using."""

    def __init__(self, loader: FederatedDataLoader, first: int) -> None:
        self.loader = loader
        self.at: Optional[int] = first
        self.left: Dict[int, Any] = dict(enumerate(loader.workers))
        self.batches = {worker: loader.batches(worker) for worker in loader.workers}

    def __iter__(self) -> "_Walk":
        return self

    def __next__(self) -> Any:
        while self.at is not None:
            worker = self.left[self.at]
            indices = next(self.batches[worker], None)
            if indices is not None:
                return self.loader.fetch(worker, indices)
            del self.left[self.at]
            busy = {walk.at for walk in self.loader.iterators}
            free = [at for at in self.left if at not in busy and not self.loader.iter_per_worker]
            self.at = free[0] if free else None
        raise StopIteration
