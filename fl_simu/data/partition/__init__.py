"""Partitions: how the training samples are distributed among the UEs."""

from typing import Dict, Type

from fl_simu.data.partition.alike import FeatureNoise, Iid, Independent
from fl_simu.data.partition.base import Partition
from fl_simu.data.partition.given import ByUe, FromFile, SlidingSlices
from fl_simu.data.partition.skewed import Dirichlet, LabelsPerUe, QuantitySkew, ShardsByLabel

PARTITIONS: Dict[str, Type[Partition]] = {
    "iid": Iid,
    "shards_by_label": ShardsByLabel,
    "dirichlet": Dirichlet,
    "quantity_skew": QuantitySkew,
    "labels_per_ue": LabelsPerUe,
    "sliding_slices": SlidingSlices,
    "independent": Independent,
    "by_ue": ByUe,
    "file": FromFile,
    "feature_noise": FeatureNoise,
}
