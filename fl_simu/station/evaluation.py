"""Evaluation of models: on test data, and on the data of each UE."""

from dataclasses import dataclass
from typing import Callable, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor, nn

from fl_simu.kernel.parameters import Params

Loss = Callable[[Tensor, Tensor], Tensor]

CPU = torch.device("cpu")


class Evaluation(NamedTuple):
    """The evaluation of a model on a test set.

    Args:
        accuracy: share of samples that are classified correctly, 0 to 1.
        loss: mean loss per sample.
        truth, predicted: int64, shape (N,): the true and the predicted class of each sample.
    """

    accuracy: float
    loss: float
    truth: Optional[np.ndarray] = None
    predicted: Optional[np.ndarray] = None


class Graded(NamedTuple):
    """The results of a model on one batch: number of correct predictions, summed loss, and classes, int64, shape
    (n,).
    """

    correct: int
    loss: float
    predicted: np.ndarray


@dataclass(frozen=True)
class Exam:
    """A test set on which models are evaluated batch by batch, in this process or in several.

    Args:
        module: a module with the structure of the params; its own numbers are overwritten.
        loss: mean loss of a batch, from the module's output and the labels.
        images: float32, shape (N, C, H, W).
        labels: int64, shape (N,).
        batch_size: samples per batch. It limits the memory; another size changes the order in which losses are
            summed.
        device: device of the module; data on another device are moved there batch by batch.
    """

    module: nn.Module
    loss: Loss
    images: Tensor
    labels: Tensor
    batch_size: int = 250
    device: torch.device = CPU

    def batches(self) -> Sequence[int]:
        """The first sample of each batch."""
        return range(0, len(self.labels), self.batch_size)

    def grade(self, params: Params, start: int) -> Graded:
        """The results of a model on the batch that begins at this sample."""
        rows = slice(start, start + self.batch_size)
        outputs = _outputs(self.module, params, self.images[rows], self.labels[rows], self.batch_size, self.device)
        ((output, target),) = outputs
        told = output.argmax(dim=1)
        loss = float(self.loss(output, target)) * len(target)
        return Graded(int((told == target).sum()), loss, told.cpu().numpy())

    def evaluation(self, graded: Sequence[Graded]) -> Evaluation:
        """The evaluation from the results of all batches, in order."""
        count = len(self.labels)
        return Evaluation(
            sum(one.correct for one in graded) / count,
            sum((one.loss for one in graded), 0.0) / count,
            self.labels.cpu().numpy(),
            np.concatenate([one.predicted for one in graded]),
        )

    def evaluate(self, params: Params) -> Evaluation:
        """Accuracy and loss of a model, in this process."""
        return self.evaluation([self.grade(params, start) for start in self.batches()])

    def losses(self, params: Params) -> np.ndarray:
        """Loss of a model on each sample, float64, shape (N,)."""
        found = [
            float(self.loss(output[row : row + 1], target[row : row + 1]))
            for output, target in _outputs(
                self.module, params, self.images, self.labels, self.batch_size, self.device
            )
            for row in range(len(target))
        ]
        return np.array(found, dtype=np.float64)


def mean_of(found: Sequence[Evaluation]) -> Evaluation:
    """The evaluation of several models on one test set: means, and each sample once per model."""
    accuracy, loss = (float(np.mean([getattr(one, name) for one in found])) for name in ("accuracy", "loss"))
    truth, predicted = (np.concatenate([getattr(one, name) for one in found]) for name in ("truth", "predicted"))
    return Evaluation(accuracy, loss, truth, predicted)


def accuracies(
    module: nn.Module,
    params: Params,
    own: Mapping[int, Params],
    images: Tensor,
    labels: Tensor,
    parts: Sequence[np.ndarray],
    batch_size: int = 250,
    device: torch.device = CPU,
) -> np.ndarray:
    """Accuracy on each UE's own samples, shape (UEs,).

    Args:
        module, images, labels, batch_size, device: as for `Exam`.
        params: the model of UEs without an own model.
        own: the own models, by UE.
        parts: int64: the rows of each UE's samples; no part is empty, and parts may share rows.
    """

    def hits(model: Params, images: Tensor, labels: Tensor) -> np.ndarray:
        right = [
            (output.argmax(dim=1) == target).view(len(target), -1).double().mean(dim=1)
            for output, target in _outputs(module, model, images, labels, batch_size, device)
        ]
        return torch.cat(right).cpu().numpy()

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
    module: nn.Module, params: Params, images: Tensor, labels: Tensor, batch_size: int, device: torch.device
) -> Iterator[Tuple[Tensor, Tensor]]:
    """The output of a model for each batch, and the labels of the batch."""
    module.load_state_dict(params)
    module.eval()
    for start in range(0, len(labels), batch_size):
        rows = slice(start, start + batch_size)
        with torch.no_grad():
            output = module(_on(device, images[rows]))
        yield output, _on(device, labels[rows])


def _on(device: torch.device, tensor: Tensor) -> Tensor:
    return tensor if tensor.device == device else tensor.to(device)
