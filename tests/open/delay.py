"""A delay rule: the integral of the rate, after an access delay."""

import math
from dataclasses import dataclass

from fl_simu.radio.delays import Integrated


@dataclass(frozen=True)
class AfterAccess(Integrated):
    """Sending starts after an access delay.

    Args:
        access_s: the access delay in s.
    """

    access_s: float = 0.05

    def arrivals_s(self, channel, seed, ue, round, start_s, loads_mbit):
        return super().arrivals_s(channel, seed, ue, round, start_s + self.access_s, loads_mbit)

    def carried_mbit(self, channel, seed, ue, round, start_s, end_s):
        if end_s <= start_s + self.access_s or math.isinf(start_s):
            return 0.0
        return super().carried_mbit(channel, seed, ue, round, start_s + self.access_s, end_s)
