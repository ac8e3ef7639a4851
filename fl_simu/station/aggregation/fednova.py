"""FedNova: UEs that make more local steps do not pull the global model towards their own optimum."""

from dataclasses import dataclass
from typing import Iterable

from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params
from fl_simu.station.aggregation.base import Aggregation, as_dtype_of
from fl_simu.station.aggregation.means import Sum


@dataclass(frozen=True)
class FedNova(Aggregation):
    r"""Normalised averaging: each update is divided by the number of local steps behind it.

    .. math:: w' = w + \tau_\mathrm{eff} \sum_u p_u \frac{w_u - w}{\tau_u}, \quad
        \tau_\mathrm{eff} = \sum_u p_u \tau_u

    where :math:`p_u` is the share of UE u in the samples of the accepted updates, and :math:`\tau_u` its number of
    local steps. The BS knows this number from samples, epochs and batch size, so nothing is sent with the models.

    Under `mean` the objective of UE u counts in proportion to :math:`p_u \tau_u`; here it counts by :math:`p_u`,
    up to terms of the order of the learning rate. If all UEs make the same number of steps, the result equals
    `mean`, bit for bit. Integers are those of `mean`. Without any update the global model does not change.

    It requires plain SGD without momentum, the algorithm `fedavg`, and a protocol under which every UE starts from
    the current model.

    Reference: Wang, Liu, Liang, Joshi, Poor 2020, "Tackling the Objective Inconsistency Problem in Heterogeneous
    Federated Optimization".
    """

    normalises = True

    def combine(self, current: Params, updates: Iterable[Update], drawn: int) -> Params:
        plain, by_steps, work, counts = Sum(current), Sum(current), 0.0, set()
        for update in updates:
            weight = update.samples * update.weight
            plain.add(update.params, weight)
            by_steps.add(update.params, weight / update.steps)
            work += weight * update.steps
            counts.add(update.steps)
        mean = plain.mean()
        if len(counts) < 2:
            return mean
        scale = work / plain.weight / plain.weight
        return {
            name: as_dtype_of(
                tensor, tensor + scale * (by_steps.tensors[name] - by_steps.weight * tensor.double())
            )
            if tensor.dtype.is_floating_point
            else mean[name]
            for name, tensor in current.items()
        }
