"""A downlink is a channel; this one is slow for the first UEs."""

import math
from dataclasses import dataclass

from fl_simu.radio.channels.base import Channel


@dataclass(frozen=True)
class FarFirst(Channel):
    """UE i has the rate (i + 1) times the least one.

    Args:
        least_mbps: of the first UE.
    """

    least_mbps: float = 0.5

    def pieces(self, seed, ue, round, start_s):
        yield self.least_mbps * (ue + 1), math.inf
