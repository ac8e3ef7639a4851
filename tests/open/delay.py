"""A delay rule: the integral of the rate, after the time to get access."""

import math
from dataclasses import dataclass

from fl_simu.radio.delays import Integrated


@dataclass(frozen=True)
class AfterAccess(Integrated):
    """Sending begins a while after the UE wants to.

    Args:
        access_s: that while, in s.
    """

    access_s: float = 0.05

    def arrivals_s(self, channel, seed, ue, round, start_s, loads_mbit):
        return super().arrivals_s(channel, seed, ue, round, start_s + self.access_s, loads_mbit)

    def carried_mbit(self, channel, seed, ue, round, start_s, end_s):
        if end_s <= start_s + self.access_s or math.isinf(start_s):
            return 0.0
        return super().carried_mbit(channel, seed, ue, round, start_s + self.access_s, end_s)
