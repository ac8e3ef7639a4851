"""How evenly the UEs take part."""

from dataclasses import dataclass
from typing import Dict, Mapping

from fl_simu.meters.base import OfRounds, RunView
from fl_simu.meters.fairness import jain
from fl_simu.results.columns import Column

COLUMNS = {
    "participation_min": Column("", "fewest accepted uploads of a UE", "last"),
    "participation_jain": Column("", "Jain's index of the UEs' accepted uploads", "last"),
}


@dataclass(frozen=True)
class Participation(OfRounds):
    """How often the BS has accepted something from each UE so far.

    An upload counts once, whether it is accepted in full or only its base. Over all UEs of the experiment, the
    meter reports the smallest number of uploads, and Jain's index (sum x)^2 / (n sum x^2) of the numbers. The
    index is 1 if all UEs are equal, even if nothing has been accepted yet, and m/n if m of n UEs have taken part
    equally often.

    Reference: Jain, Chiu, Hawe 1984, "A Quantitative Measure of Fairness and Discrimination for Resource
    Allocation in Shared Computer Systems".
    """

    @property
    def columns(self) -> Mapping[str, Column]:
        return COLUMNS

    def so_far(self, view: RunView) -> Dict[str, float]:
        told = (view.taken.min(), jain(view.taken))
        return {name: float(value) for name, value in zip(COLUMNS, told)}
