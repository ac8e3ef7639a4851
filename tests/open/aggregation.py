"""An aggregation rule: the mean of all updates but the longest."""

from dataclasses import dataclass

from fl_simu.kernel.parameters import distance
from fl_simu.station.aggregation.base import Aggregation
from fl_simu.station.aggregation.means import Mean


@dataclass(frozen=True)
class WithoutTheLongest(Aggregation):
    """The mean, weighted by samples, of all updates but the one that is farthest from the global model."""

    def combine(self, current, updates, drawn):
        given = sorted(updates, key=lambda update: distance(update.params, current))
        kept = sorted(given[:-1] or given, key=lambda update: update.ue)
        return Mean().combine(current, kept, drawn)
