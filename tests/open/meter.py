"""A meter: how long the UEs were on the air, and how much of that was for nothing."""

from dataclasses import dataclass

from fl_simu.meters.base import Meter
from fl_simu.results.columns import Column


@dataclass(frozen=True)
class Airtime(Meter):
    """Seconds on the air, of all UEs of a round.

    Args:
        guard_s: what each upload costs beside, in s.
    """

    guard_s: float = 0.01

    @property
    def columns(self):
        return {"airtime_s": Column("s", "time on the air"), "wasted_s": Column("s", "of it for nothing")}

    def upload(self, view):
        spent_s = view.airtime_s + self.guard_s if view.airtime_s else 0.0
        return {"airtime_s": spent_s, "wasted_s": spent_s if view.accepted == "none" else 0.0}
