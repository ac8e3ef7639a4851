"""A link that is good or bad: the two-state Markov channel."""

import math
from dataclasses import dataclass

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.randomness import briefly
from fl_simu.uplink.channels.ticked import BLOCK, Ticked, rate_before


@dataclass(frozen=True)
class Markov(Ticked):
    """A good and a bad rate; at each tick the link may change its state (Gilbert-Elliott).

    In the long run the link is good for the share p / (p + q) of the time, with p the chance of leaving the bad
    state and q that of leaving the good one. It starts in that distribution.

    Args:
        tick_s: length of a tick in s, above 0.
        good_mbps, bad_mbps: the two rates in Mbit/s; the good one is the larger.
        leave_good, leave_bad: chance at a tick to leave the state, above 0 and at most 1.

    Reference: Gilbert 1960; Elliott 1963.
    """

    good_mbps: float = 60.0
    bad_mbps: float = 10.0
    leave_good: float = 0.1
    leave_bad: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.bad_mbps < math.inf, "bad_mbps", self.bad_mbps, "a finite number, at least 0")
        require(self.bad_mbps < self.good_mbps < math.inf, "good_mbps", self.good_mbps, "finite, above bad_mbps")
        for name in ("leave_good", "leave_bad"):
            require(0 < getattr(self, name) <= 1, name, getattr(self, name), "above 0 and at most 1")

    def block(self, seed: int, ue: int, number: int) -> np.ndarray:
        draws = briefly(seed, "channel", ue, number).random(BLOCK)
        if number:
            good = rate_before(self, seed, ue, number) == self.good_mbps
        else:
            share = self.leave_bad / (self.leave_good + self.leave_bad)
            good = bool(briefly(seed, "first state", ue).random() < share)
        rates = np.empty(BLOCK)
        for tick, draw in enumerate(draws):
            if number or tick:
                good = good != (draw < (self.leave_good if good else self.leave_bad))
            rates[tick] = self.good_mbps if good else self.bad_mbps
        return rates
