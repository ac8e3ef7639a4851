"""syft's `frameworks.torch.fl.utils`: model averaging as in 0.2.4, and the other functions of that module."""

from typing import Any, Dict, List, Tuple

import torch
from torch import nn


def extract_batches_per_worker(federated_train_loader: Any) -> Dict[Any, List[Tuple[Any, Any]]]:
    """Collect each worker's batches of one epoch in a dict by worker."""
    datasets = federated_train_loader.federated_dataset.datasets
    batches: Dict[Any, List[Tuple[Any, Any]]] = {
        datasets[worker].location: [] for worker in federated_train_loader.workers
    }
    for data, target in federated_train_loader:
        batches[data.location].append((data, target))
    return batches


def add_model(dst_model: nn.Module, src_model: nn.Module) -> nn.Module:
    """Add the parameters of the second model to those of the first, in place."""
    parameters: Dict[str, Any] = dict(dst_model.named_parameters())
    with torch.no_grad():
        for name, parameter in src_model.named_parameters():
            if name in parameters:
                parameters[name].set_(parameter.data + parameters[name].data)
    return dst_model


def scale_model(model: nn.Module, scale: float) -> nn.Module:
    """Multiply the parameters of a model by a number, in place."""
    with torch.no_grad():
        for parameter in model.parameters():
            scaled: Any = parameter.data * scale
            parameter.set_(scaled)
    return model


def federated_avg(models: Dict[Any, nn.Module]) -> nn.Module:
    """Write the mean of all models' parameters into the first model and return it; buffers are not averaged."""
    first, *others = models.values()
    for other in others:
        first = add_model(first, other)
    return scale_model(first, 1.0 / len(models))


def accuracy(pred_softmax: torch.Tensor, target: torch.Tensor) -> float:
    """Share of rows whose largest entry is at the target's index."""
    predicted = pred_softmax.argmax(dim=1)
    return (predicted.float() == target.view(predicted.shape).float()).sum().numpy() / float(len(target))  # type: ignore
