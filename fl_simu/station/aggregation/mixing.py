"""Mixing: the global model moves part of the way to each upload."""

from dataclasses import dataclass
from typing import Iterable

from fl_simu.kernel.errors import require
from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params
from fl_simu.station.aggregation.base import Aggregation, as_dtype_of
from fl_simu.station.aggregation.means import Sum


@dataclass(frozen=True)
class Mixing(Aggregation):
    r"""FedAsync: the global model moves part of the way to an upload.

    .. math:: w \leftarrow (1 - \alpha s) w + \alpha s w_u

    where s is the weight that the protocol gives a stale upload. The paper's asynchronous algorithm is this rule
    under `buffered` with `k = 1`, whose `staleness` offers the paper's three families. The number of samples of a
    UE has no effect. Several uploads of one aggregation leave the same share of w as applying them in sequence
    would, :math:`\prod_u (1 - \alpha s_u)`. The rest is their mean, weighted by :math:`s_u`, so that none counts
    more because it is the last.

    Args:
        alpha: :math:`\alpha`, above 0, at most 1.

    Reference: Xie, Koyejo, Gupta 2019, "Asynchronous Federated Optimization".
    """

    alpha: float = 0.6

    def __post_init__(self) -> None:
        require(0 < self.alpha <= 1, "alpha", self.alpha, "above 0, at most 1")

    def combine(self, current: Params, updates: Iterable[Update], drawn: int) -> Params:
        left, summed = 1.0, Sum(current)
        for update in updates:
            left *= 1 - self.alpha * update.weight
            summed.add(update.params, update.weight)
        if not summed.weight:
            return current
        part = (1 - left) / summed.weight
        return {
            name: as_dtype_of(tensor, left * tensor.double() + part * summed.tensors[name])
            for name, tensor in current.items()
        }
