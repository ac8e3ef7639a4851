"""Aggregation: one model from the accepted models."""

from typing import Dict, Type

from fl_simu.station.aggregation.base import Aggregation
from fl_simu.station.aggregation.fednova import FedNova
from fl_simu.station.aggregation.means import Mean, PlainMean, RunningPairwise, SumOverDrawn, WeightedSum
from fl_simu.station.aggregation.mixing import Mixing
from fl_simu.station.aggregation.robust import (
    CentredClipping,
    GeometricMedian,
    Krum,
    KrumUnsquared,
    Median,
    MultiKrum,
    NormBound,
    TrimmedMean,
)

AGGREGATIONS: Dict[str, Type[Aggregation]] = {
    "mean": Mean,
    "plain_mean": PlainMean,
    "weighted_sum": WeightedSum,
    "running_pairwise": RunningPairwise,
    "sum_over_drawn": SumOverDrawn,
    "krum": Krum,
    "krum_unsquared": KrumUnsquared,
    "multi_krum": MultiKrum,
    "median": Median,
    "trimmed_mean": TrimmedMean,
    "geometric_median": GeometricMedian,
    "centred_clipping": CentredClipping,
    "norm_bound": NormBound,
    "mixing": Mixing,
    "fednova": FedNova,
}
