"""How evenly the global model serves the UEs."""

from dataclasses import dataclass
from typing import Dict, Mapping

import numpy as np

from fl_simu.meters.base import ModelView, OfRounds
from fl_simu.results.columns import Column

FIGURE = "accuracy on own samples"

COLUMNS = {
    "ue_accuracy_mean": Column("", "mean of the UEs' accuracies", "last", figure=FIGURE),
    "ue_accuracy_min": Column("", "least accuracy of a UE", "last", figure=FIGURE),
    "ue_accuracy_p10": Column("", "10th percentile of the UEs' accuracies", "last", figure=FIGURE),
    "ue_accuracy_variance": Column("", "variance of the UEs' accuracies", "last"),
    "ue_accuracy_jain": Column("", "Jain's index of the UEs' accuracies", "last"),
}


@dataclass(frozen=True)
class Fairness(OfRounds):
    """The spread, over UEs, of the accuracy on each UE's own training samples.

    Each UE is measured with the global model, or with its personal model if it has one, as with `local_layers` and
    the algorithm `ditto`. The columns are the mean with equal weight for every UE, the minimum, the 10th
    percentile (interpolated linearly), the variance, and Jain's index (sum x)^2 / (n sum x^2). The index is 1 if
    all UEs are equal, even if all are 0, and 1/n if one UE has everything. The columns exist for rounds in which
    the model is evaluated. The meter then takes the time of an evaluation on all training samples.

    Reference: Jain, Chiu, Hawe 1984, "A Quantitative Measure of Fairness and Discrimination for Resource
    Allocation in Shared Computer Systems"; Li, Sanjabi, Beirami, Smith 2020, "Fair Resource Allocation in
    Federated Learning".
    """

    @property
    def columns(self) -> Mapping[str, Column]:
        return COLUMNS

    def model(self, view: ModelView) -> Dict[str, float]:
        accuracies = view.accuracies()
        told = (
            accuracies.mean(),
            accuracies.min(),
            np.percentile(accuracies, 10),
            accuracies.var(),
            jain(accuracies),
        )
        return {name: float(value) for name, value in zip(COLUMNS, told)}


def jain(values: np.ndarray) -> float:
    """Jain's index of numbers that are 0 or more."""
    squares = float((values**2).sum())
    return float(values.sum()) ** 2 / (len(values) * squares) if squares else 1.0
