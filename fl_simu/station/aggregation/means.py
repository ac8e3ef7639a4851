"""Means of the accepted models, and two rules of the notes that are not means."""

from dataclasses import dataclass
from typing import ClassVar, Iterable

import torch

from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params
from fl_simu.station.aggregation.base import Aggregation, as_dtype_of


class Sum:
    """The weighted sum of models in float64, added model by model, and the sum of the weights."""

    def __init__(self, current: Params) -> None:
        self.current = current
        self.weight = 0.0
        self.tensors = {name: torch.zeros(value.shape, dtype=torch.float64) for name, value in current.items()}

    def add(self, params: Params, weight: float) -> None:
        self.weight += weight
        for name, tensor in self.tensors.items():
            tensor.add_(params[name].double(), alpha=weight)

    def divided_by(self, total: float) -> Params:
        return {name: as_dtype_of(self.current[name], tensor / total) for name, tensor in self.tensors.items()}

    def mean(self) -> Params:
        """The weighted mean, or the current model if nothing was added."""
        return self.divided_by(self.weight) if self.weight else self.current


@dataclass(frozen=True)
class Mean(Aggregation):
    """FedAvg's mean: sum_i n_i x_i / sum_i n_i, where n_i is the number of samples of UE i.

    Without any update the global model does not change.

    Reference: McMahan et al. 2017, "Communication-Efficient Learning of Deep Networks from Decentralized Data".
    """

    def weight_of(self, update: Update) -> float:
        return update.samples * update.weight

    def combine(self, current: Params, updates: Iterable[Update], drawn: int) -> Params:
        summed = Sum(current)
        for update in updates:
            summed.add(update.params, self.weight_of(update))
        return summed.mean()


@dataclass(frozen=True)
class PlainMean(Aggregation):
    """The mean of the models, each with the same weight, whatever its number of samples.

    Without any update the global model does not change.
    """

    def weight_of(self, update: Update) -> float:
        return update.weight

    def combine(self, current: Params, updates: Iterable[Update], drawn: int) -> Params:
        summed = Sum(current)
        for update in updates:
            summed.add(update.params, self.weight_of(update))
        return summed.mean()


@dataclass(frozen=True)
class WeightedSum(Aggregation):
    r"""The global model plus the sum of the updates, each with the weight that the selection gives it.

    .. math:: w \leftarrow w + \sum_u \omega_u (w_u - w)

    The weights come from a selection that provides them, such as `importance_by_norm`. The sum is not divided by
    the sum of the weights. If the selection draws UE u with probability :math:`\pi_u` and gives it the weight
    :math:`n_u / (n \pi_u)`, the expectation is the result of `mean` over all UEs. `mean` and `plain_mean` would
    divide by the sum of the weights of the drawn UEs, and be biased. Without any update the global model does not
    change. Numbers beyond the range of the model's number format are cut to its largest number.

    Reference: Horvitz, Thompson 1952, "A Generalization of Sampling Without Replacement From a Finite Universe".
    """

    adds: ClassVar[bool] = True

    def combine(self, current: Params, updates: Iterable[Update], drawn: int) -> Params:
        summed = Sum(current)
        for update in updates:
            summed.add(update.params, update.weight)
        summed.add(current, 1.0 - summed.weight)
        for name, tensor in summed.tensors.items():
            if current[name].dtype.is_floating_point:
                most = torch.finfo(current[name].dtype).max
                tensor.clamp_(-most, most)
        return summed.divided_by(1.0)


@dataclass(frozen=True)
class RunningPairwise(Aggregation):
    """The notes' `combine_pro`: each model is averaged into the running result, out = (x_i + out) / 2.

    This is not a mean: of m models the last weighs 1/2, the one before 1/4, the first 2^-m, and the global model,
    with which the running result starts, also 2^-m. The result depends on the order of the UEs. Without any update
    the global model does not change. Use `mean` for the mean.

    Reference: notes, manual aggregation.
    """

    def combine(self, current: Params, updates: Iterable[Update], drawn: int) -> Params:
        running = {name: tensor.double() for name, tensor in current.items()}
        for update in updates:
            running = {name: (update.params[name].double() + tensor) / 2 for name, tensor in running.items()}
        return {name: as_dtype_of(current[name], tensor) for name, tensor in running.items()}


@dataclass(frozen=True)
class SumOverDrawn(Aggregation):
    """The notes' sum of the accepted models, divided by the number of all UEs.

    Whenever a UE is rejected, the result shrinks towards 0: with a of d models accepted it is a/d times their
    mean, and all zeros if none is. Use `plain_mean` for the mean.

    Reference: notes, graded upload.
    """

    def combine(self, current: Params, updates: Iterable[Update], drawn: int) -> Params:
        summed = Sum(current)
        for update in updates:
            summed.add(update.params, 1.0)
        return summed.divided_by(drawn)
