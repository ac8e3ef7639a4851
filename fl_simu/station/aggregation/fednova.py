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

    with the share :math:`p_u` of UE u in the samples of the updates taken, and its number of local steps
    :math:`\tau_u`. It follows from samples, epochs and batch size, which the BS knows, so that nothing travels
    beside the models. Under `mean` the objective of UE u counts in proportion to :math:`p_u \tau_u`; here it
    counts by :math:`p_u`, up to terms of the order of the learning rate. Where all make equally many steps it is
    `mean`, bit for bit. Integers are those of `mean`. Without any update the global model stays as it is.

    It goes with plain SGD, without momentum, with algorithm `fedavg`, and with protocols under which every UE has
    started from the present model.

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
