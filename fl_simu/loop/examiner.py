"""Evaluates models for a coordinator: on the test set and on the UEs' own samples."""

from typing import Any, Callable, Dict, Mapping, Sequence

import numpy as np
import torch

from fl_simu.data.datasets import Samples
from fl_simu.kernel.parameters import Params
from fl_simu.loop.plan import Plan
from fl_simu.station.evaluation import CPU, Evaluation, Exam, accuracies


class Examiner:
    """Evaluates models in this process, and also in the other processes of backends that train there.

    Args:
        planned: the experiment.
        train: the training samples of all UEs.
        shards: for each UE the rows of `train` that are its own, int64.
        test: the samples that the global model is evaluated on.
    """

    def __init__(self, planned: Plan, train: Samples, shards: Sequence[np.ndarray], test: Samples) -> None:
        self._backend, self._device = planned.backend, planned.device
        self._train, self._shards = train, shards
        self._loss = planned.training.loss
        self._module = planned.training.make_module().to(self._device)
        # The test set stays on the device. The UEs' samples, which may be many, are copied to it batch by batch.
        self._exam = self._of(test.images.to(self._device), test.labels.to(self._device))
        planned.backend.measuring = self._exam.grade

    def answers(self) -> Dict[str, Any]:
        """The callables for a `Setting`, by the names of its fields."""
        here = self._device == CPU
        return {
            "evaluate": self._evaluate if here else self._exam.evaluate,
            "aside": self._aside if here and self._backend.aside else None,
            "accuracies": self._accuracies,
            "loss_of": lambda params, ue: self._own(ue).evaluate(params).loss,
            "losses_of": lambda params, ue: self._own(ue).losses(params),
        }

    def _evaluate(self, params: Params) -> Evaluation:
        return self._aside(params)()

    def _aside(self, params: Params) -> Callable[[], Evaluation]:
        graded = self._backend.measure(params, self._exam.batches())
        return lambda: self._exam.evaluation(graded())

    def _accuracies(self, params: Params, own: Mapping[int, Params]) -> np.ndarray:
        train = self._train
        return accuracies(self._module, params, own, train.images, train.labels, self._shards, device=self._device)

    def _own(self, ue: int) -> Exam:
        rows = torch.from_numpy(self._shards[ue])
        return self._of(self._train.images.index_select(0, rows), self._train.labels.index_select(0, rows))

    def _of(self, images: torch.Tensor, labels: torch.Tensor) -> Exam:
        return Exam(self._module, self._loss, images, labels, device=self._device)
