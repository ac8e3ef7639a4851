"""Mixing: the global model moves a part of the way to each upload."""

from dataclasses import dataclass
from typing import Iterable

from fl_simu.kernel.errors import require
from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params
from fl_simu.station.aggregation.base import Aggregation, as_dtype_of


@dataclass(frozen=True)
class Mixing(Aggregation):
    r"""FedAsync: each upload is mixed into the global model, one after the other.

    .. math:: w \leftarrow (1 - \alpha s) w + \alpha s w_u

    where s is the weight that the protocol gives a stale upload. The asynchronous algorithm of the paper is this
    rule under `buffered` with `k = 1`, whose `staleness` has the paper's three families. How many samples a UE has
    does not count. Uploads of one aggregation are mixed in the order of the UEs, in float64.

    Args:
        alpha: :math:`\alpha`, above 0, at most 1.

    Reference: Xie, Koyejo, Gupta 2019, "Asynchronous Federated Optimization".
    """

    alpha: float = 0.6

    def __post_init__(self) -> None:
        require(0 < self.alpha <= 1, "alpha", self.alpha, "above 0, at most 1")

    def combine(self, current: Params, updates: Iterable[Update], drawn: int) -> Params:
        mixed, changed = {name: tensor.double() for name, tensor in current.items()}, False
        for update in updates:
            share, changed = self.alpha * update.weight, True
            mixed = {name: (1 - share) * one + share * update.params[name].double() for name, one in mixed.items()}
        return {name: as_dtype_of(like, mixed[name]) for name, like in current.items()} if changed else current
