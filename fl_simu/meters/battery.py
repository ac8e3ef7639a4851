"""The number of UEs that have run out of energy."""

from dataclasses import dataclass
from typing import Dict, Mapping

from fl_simu.meters.base import OfRounds, RunView
from fl_simu.results.columns import Column

COLUMNS = {"empty_ues": Column("", "UEs without energy", "last", figure="UEs without energy")}


@dataclass(frozen=True)
class Battery(OfRounds):
    """Number of UEs without energy at the end of a round, if `faults` is `battery`; otherwise 0."""

    @property
    def columns(self) -> Mapping[str, Column]:
        return COLUMNS

    def so_far(self, view: RunView) -> Dict[str, float]:
        return {"empty_ues": float(view.empty())}
