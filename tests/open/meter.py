"""A meter: the airtime of the UEs, and how much of it was wasted."""

from dataclasses import dataclass

from fl_simu.meters.base import Meter
from fl_simu.results.columns import Column


@dataclass(frozen=True)
class Airtime(Meter):
    """Airtime in s of all UEs of a round.

    Args:
        guard_s: extra time of each upload in s.
    """

    guard_s: float = 0.01

    @property
    def columns(self):
        return {"airtime_s": Column("s", "time on the air"), "wasted_s": Column("s", "of it for nothing")}

    def upload(self, view):
        spent_s = view.airtime_s + self.guard_s if view.airtime_s else 0.0
        return {"airtime_s": spent_s, "wasted_s": spent_s if view.accepted == "none" else 0.0}
