"""Training at a worker on its own data: `worker.add_dataset`, `TrainConfig(...).send(worker)`, `worker.fit`."""

import copy
import io
from typing import Any, Dict, Optional

import numpy as np
import torch
from torch.utils.data import DataLoader

from fl_simu.pointers.ids import ID_PROVIDER
from fl_simu.pointers.local import local_worker
from fl_simu.pointers.objects import ObjectPointer, ObjectWrapper


class CallablePointer(ObjectPointer):
    """A pointer to an ObjectWrapper."""


class TrainConfig:
    """The settings for training at a worker on its own data: send it, then call the worker's `fit` or `evaluate`.

    Args:
        model: a module, traced or plain; the worker gets a copy of it.
        loss_fn: called with `pred` and `target` as keywords.
        batch_size: samples per step.
        epochs: passes over the data.
        optimizer: a name in torch.optim.
        optimizer_args: its arguments.
        max_nr_batches: maximum number of steps per pass; -1: all.
        shuffle: use a new order in each pass.
    """

    def __init__(
        self,
        model: Any,
        loss_fn: Any,
        owner: Any = None,
        batch_size: int = 32,
        epochs: int = 1,
        optimizer: str = "SGD",
        optimizer_args: Optional[Dict[str, Any]] = None,
        id: Any = None,
        max_nr_batches: int = -1,
        shuffle: bool = True,
    ) -> None:
        self.model, self.loss_fn, self.location = model, loss_fn, None
        self._owner = owner
        self.id = ID_PROVIDER.pop() if id is None else id
        self.batch_size, self.epochs, self.shuffle = batch_size, epochs, shuffle
        self.optimizer, self.max_nr_batches = optimizer, max_nr_batches
        self.optimizer_args = {"lr": 0.1} if optimizer_args is None else optimizer_args
        self.model_ptr: Any = None
        self.loss_fn_ptr: Any = None

    @property
    def owner(self) -> Any:
        return self._owner or local_worker()

    def __str__(self) -> str:
        return (
            f"<TrainConfig id:{self.id} owner:{self.owner.id} epochs: {self.epochs} "
            f"batch_size: {self.batch_size} optimizer_args: {self.optimizer_args}>"
        )

    def send(self, location: Any) -> "TrainConfig":
        """Send it, a copy of the model, and the loss to a worker; `model_ptr.get().obj` is the trained model."""
        worker = self.owner.get_worker(location)
        self.model_ptr = self._placed(_copied(self.model), worker)
        self.loss_fn_ptr = self._placed(self.loss_fn, worker)
        worker.set_obj(copy.copy(self))
        return self

    def _placed(self, obj: Any, worker: Any) -> CallablePointer:
        wrapper = ObjectWrapper(obj)
        worker.set_obj(wrapper)
        return CallablePointer(worker, wrapper.id, self.owner)

    def get_model(self) -> Any:
        return self.model_ptr.get()

    def get_loss_fn(self) -> Any:
        return self.loss_fn_ptr.get()


def _copied(model: Any) -> Any:
    """Copy a model. A deep copy of a traced module has parameters that cannot be trained, so save and load it."""
    if not isinstance(model, torch.jit.ScriptModule):
        return copy.deepcopy(model)
    buffer = io.BytesIO()
    torch.jit.save(model, buffer)
    buffer.seek(0)
    return torch.jit.load(buffer)


class FederatedClient:
    """The training side of a worker: data sets by key, and the last TrainConfig that was sent."""

    get_obj: Any

    def __init__(self) -> None:
        super().__init__()
        self.datasets: Dict[str, Any] = {}
        self.train_config: Any = None
        self.optimizer: Any = None

    def add_dataset(self, dataset: Any, key: str) -> None:
        if key in self.datasets:
            raise ValueError(f"Key {key} already exists in Datasets")
        self.datasets[key] = dataset

    def remove_dataset(self, key: str) -> None:
        self.datasets.pop(key, None)

    def set_obj(self, obj: Any) -> None:
        if isinstance(obj, TrainConfig):
            self.train_config, self.optimizer = obj, None
        else:
            super().set_obj(obj)  # type: ignore[misc]

    def fit(self, dataset_key: str, device: str = "cpu", **_: Any) -> Any:
        """Train on a data set with the settings of the TrainConfig; returns the loss of the last step.

        Raises:
            ValueError: no TrainConfig was sent, or there is no such data set or optimiser.
            ObjectNotFoundError: the model was already fetched.
        """
        model, loss_fn, batches = self._work(dataset_key, self.train_config and self.train_config.shuffle)
        config, optimizer = self.train_config, self._built_optimizer(model)
        model.train()
        loss, steps = None, 0
        for _epoch in range(config.epochs):
            for data, target in batches:
                optimizer.zero_grad()
                loss = loss_fn(target=target.to(device), pred=model(data.to(device)))
                loss.backward()
                optimizer.step()
                steps += 1
                # 0.2.4 counts steps over all passes, so each later pass ends after one step.
                if steps >= config.max_nr_batches >= 0:
                    break
        return loss

    def evaluate(
        self,
        dataset_key: str,
        return_histograms: bool = False,
        nr_bins: int = -1,
        return_loss: bool = True,
        return_raw_accuracy: bool = True,
        device: str = "cpu",
    ) -> Dict[str, Any]:
        """Loss per sample (sum of the batch losses / number of samples), correct predictions, class histograms.

        Raises:
            ValueError, ObjectNotFoundError: as in `fit`.
        """
        model, loss_fn, batches = self._work(dataset_key, shuffle=False)
        model.eval()
        total, hits = 0.0, 0
        histograms = {"predictions": np.zeros(max(nr_bins, 0)), "target": np.zeros(max(nr_bins, 0))}
        with torch.no_grad():
            for data, target in batches:
                data, target = data.to(device), target.to(device)
                output = model(data)
                predicted = output.argmax(dim=1, keepdim=True)
                total += loss_fn(output, target).item() if return_loss else 0
                if return_histograms:
                    for name, classes in (("predictions", predicted), ("target", target)):
                        histograms[name] += np.histogram(classes.cpu().numpy(), nr_bins, (0, nr_bins))[0]
                if return_raw_accuracy:
                    hits += int(predicted.eq(target.view_as(predicted)).sum())
        size = len(self.datasets[dataset_key])
        found: Dict[str, Any] = {"loss": total / size} if return_loss else {}
        if return_raw_accuracy:
            found.update(nr_correct_predictions=hits, nr_predictions=size)
        if return_histograms:
            found.update({f"histogram_{name}": counts for name, counts in histograms.items()})
        return found

    def _work(self, dataset_key: str, shuffle: bool) -> Any:
        """The model, the loss and the batches."""
        if self.train_config is None:
            raise ValueError("Operation needs TrainConfig object to be set.")
        if dataset_key not in self.datasets:
            raise ValueError(f"Dataset {dataset_key} unknown.")
        pointers = (self.train_config.model_ptr, self.train_config.loss_fn_ptr)
        model, loss_fn = (self.get_obj(pointer.id_at_location).obj for pointer in pointers)
        dataset = self.datasets[dataset_key]
        return model, loss_fn, DataLoader(dataset, self.train_config.batch_size, shuffle)

    def _built_optimizer(self, model: Any) -> Any:
        """The optimiser, which is kept until the next TrainConfig."""
        if self.optimizer is None:
            make = getattr(torch.optim, self.train_config.optimizer, None)
            if make is None:
                raise ValueError(f"Unknown optimizer: {self.train_config.optimizer}")
            self.optimizer = make(model.parameters(), **self.train_config.optimizer_args)
        return self.optimizer
