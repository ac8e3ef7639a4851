"""The notes' random walk of the rate: with bounds, and as they have it."""

import math
from dataclasses import dataclass

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.randomness import briefly
from fl_simu.uplink.channels.ticked import BLOCK, Ticked, rate_before

STEPS = ("uniform", "normal")


@dataclass(frozen=True)
class _Walk(Ticked):
    """What both walks share: the first rate and the change at each tick.

    Args:
        tick_s: length of a tick in s, above 0.
        initial_mean_mbps, initial_std_mbps: the first rate is \\|N(mean, std)\\| in Mbit/s.
        step: how the change is drawn: "uniform" in low..high, or "normal" with their middle as its mean and half
            their distance as its deviation.
        step_low_mbps, step_high_mbps: the change at a tick in Mbit/s.
    """

    initial_mean_mbps: float = 50.0
    initial_std_mbps: float = 16.67
    step: str = "uniform"
    step_low_mbps: float = -10.0
    step_high_mbps: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.step in STEPS, "step", self.step, "one of " + ", ".join(STEPS))
        for name in ("initial_mean_mbps", "initial_std_mbps"):
            value = getattr(self, name)
            require(0 <= value < math.inf, name, value, "a finite number, at least 0")
        require(math.isfinite(self.step_low_mbps), "step_low_mbps", self.step_low_mbps, "a finite number")
        above = self.step_low_mbps <= self.step_high_mbps < math.inf
        require(above, "step_high_mbps", self.step_high_mbps, "finite, at least step_low_mbps")

    def first_mbps(self, seed: int, ue: int) -> float:
        """The rate of tick 0, before any bound."""
        draw = briefly(seed, "first rate", ue).standard_normal()
        return abs(self.initial_mean_mbps + self.initial_std_mbps * draw)

    def changes_mbps(self, seed: int, ue: int, number: int) -> np.ndarray:
        """The changes before each tick of a block, shape (256,)."""
        draws = briefly(seed, "channel", ue, number)
        middle = (self.step_low_mbps + self.step_high_mbps) / 2
        half = (self.step_high_mbps - self.step_low_mbps) / 2
        return middle + half * (
            draws.standard_normal(BLOCK) if self.step == "normal" else 2 * draws.random(BLOCK) - 1
        )


@dataclass(frozen=True)
class RandomWalk(_Walk):
    """A rate that starts at |N(50, 16.67)| and changes by a random step each tick, reflected at its bounds.

    Args:
        low_mbps, high_mbps: bounds in Mbit/s; a step beyond one is reflected at it.

    Reference: notes, graded upload; the bounds are ours.
    """

    low_mbps: float = 1.0
    high_mbps: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.low_mbps < math.inf, "low_mbps", self.low_mbps, "a finite number, at least 0")
        require(self.low_mbps < self.high_mbps < math.inf, "high_mbps", self.high_mbps, "finite, above low_mbps")

    def block(self, seed: int, ue: int, number: int) -> np.ndarray:
        changes = self.changes_mbps(seed, ue, number)
        start = rate_before(self, seed, ue, number) if number else self.first_mbps(seed, ue)
        if number == 0:
            changes[0] = 0.0
        # A walk reflected at two bounds is a free walk folded into them.
        period = 2 * (self.high_mbps - self.low_mbps)
        folded = np.mod(start + np.cumsum(changes) - self.low_mbps, period)
        return self.low_mbps + np.minimum(folded, period - folded)


@dataclass(frozen=True)
class NotesWalk(_Walk):
    """The notes' walk, which has no bounds: its rate may fall below 0, a quirk. Use `random_walk` instead.

    A rate below 0 cannot be integrated to a delay: it goes with the delay rule `rate_at_start` only.

    Reference: notes, graded upload.
    """

    falls_below_0 = True

    def block(self, seed: int, ue: int, number: int) -> np.ndarray:
        changes = self.changes_mbps(seed, ue, number)
        start = rate_before(self, seed, ue, number) if number else self.first_mbps(seed, ue)
        if number == 0:
            changes[0] = 0.0
        return start + np.cumsum(changes)
