"""A channel: a rate that swings like a sine, with a different phase for each UE."""

import math
from dataclasses import dataclass

from fl_simu.kernel.randomness import stream
from fl_simu.radio.channels.base import Channel


@dataclass(frozen=True)
class Swing(Channel):
    """Between `low_mbps` and `high_mbps` once in `period_s`, in 16 steps.

    Args:
        low_mbps, high_mbps: rates in Mbit/s.
        period_s: length of a swing in s.
    """

    low_mbps: float = 0.5
    high_mbps: float = 2.0
    period_s: float = 1.0

    def pieces(self, seed, ue, round, start_s):
        phase, step_s = stream(seed, "swing", ue).random(), self.period_s / 16
        number = math.floor(start_s / step_s)
        while True:
            number += 1
            swing = (1 + math.sin(2 * math.pi * (number / 16 + phase))) / 2
            if number * step_s > start_s:
                yield self.low_mbps + swing * (self.high_mbps - self.low_mbps), number * step_s
