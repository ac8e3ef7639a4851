"""How good a model is: on data that no UE has seen, and on those of each UE."""

from typing import Callable, Iterator, Mapping, NamedTuple, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from fl_simu.kernel.parameters import Params

Loss = Callable[[Tensor, Tensor], Tensor]


class Evaluation(NamedTuple):
    """Share of the samples that are classified right (0 to 1), and mean loss a sample."""

    accuracy: float
    loss: float


def evaluate(
    module: nn.Module, params: Params, loss: Loss, images: Tensor, labels: Tensor, batch_size: int = 250
) -> Evaluation:
    """Accuracy and loss of a model on a test set.

    Args:
        module: a module of the params' structure; its own numbers are overwritten.
        params: the model.
        loss: mean loss of a batch, from the module's output and the labels.
        images: float32, shape (N, C, H, W).
        labels: int64, shape (N,).
        batch_size: samples that pass at once; it bounds the memory, not the result.
    """
    correct, summed = 0, 0.0
    for output, target in _outputs(module, params, images, labels, batch_size):
        correct += int((output.argmax(dim=1) == target).sum())
        summed += float(loss(output, target)) * len(target)
    return Evaluation(correct / len(labels), summed / len(labels))


def accuracies(
    module: nn.Module,
    params: Params,
    own: Mapping[int, Params],
    images: Tensor,
    labels: Tensor,
    parts: Sequence[np.ndarray],
    batch_size: int = 250,
) -> np.ndarray:
    """Accuracy on each UE's own samples, shape (UEs,).

    Args:
        module, images, labels, batch_size: as for `evaluate`.
        params: the model of UEs that have none of their own.
        own: the models of those that have.
        parts: int64: of each UE the rows that are its own; no part is empty, and parts may share rows.
    """

    def hits(model: Params, images: Tensor, labels: Tensor) -> np.ndarray:
        right = [
            (output.argmax(dim=1) == target).view(len(target), -1).double().mean(dim=1)
            for output, target in _outputs(module, model, images, labels, batch_size)
        ]
        return torch.cat(right).numpy()

    everywhere = hits(params, images, labels) if len(own) < len(parts) else np.empty(0)
    found = []
    for ue, rows in enumerate(parts):
        if ue in own:
            picked = torch.from_numpy(rows)
            found.append(hits(own[ue], images.index_select(0, picked), labels.index_select(0, picked)).mean())
        else:
            found.append(everywhere[rows].mean())
    return np.array(found)


def _outputs(
    module: nn.Module, params: Params, images: Tensor, labels: Tensor, batch_size: int
) -> Iterator[Tuple[Tensor, Tensor]]:
    """What a model makes of each batch, and the labels of the batch."""
    module.load_state_dict(params)
    module.eval()
    for start in range(0, len(labels), batch_size):
        with torch.no_grad():
            output = module(images[start : start + batch_size])
        yield output, labels[start : start + batch_size]
