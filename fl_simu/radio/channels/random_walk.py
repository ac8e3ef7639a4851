"""The notes' random walk of the rate: with bounds, and without them as in the notes."""

from dataclasses import dataclass
from typing import Any, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.randomness import briefly
from fl_simu.radio.channels.base import MOST_MBPS, require_rate, require_rates
from fl_simu.radio.channels.ticked import BLOCK, Walked

STEPS = ("uniform", "normal")


@dataclass(frozen=True)
class _Walk(Walked):
    """Common part of both walks: the first rate and the change at each tick.

    Args:
        initial_mean_mbps: mean of the first rate, |N(mean, std)|, in Mbit/s, 0 to 1e6.
        initial_std_mbps: standard deviation of the first rate in Mbit/s, 0 to 1e6.
        step: distribution of the change at a tick: "uniform" between `step_low_mbps` and `step_high_mbps`, or
            "normal" with their midpoint as mean and half their distance as standard deviation.
        step_low_mbps: lower end of the change in Mbit/s, -1e6 to 1e6.
        step_high_mbps: upper end of the change in Mbit/s, `step_low_mbps` to 1e6.
    """

    initial_mean_mbps: float = 50.0
    initial_std_mbps: float = 16.67
    step: str = "uniform"
    step_low_mbps: float = -10.0
    step_high_mbps: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.step in STEPS, "step", self.step, "one of " + ", ".join(STEPS))
        require_rate("initial_mean_mbps", self.initial_mean_mbps)
        require_rate("initial_std_mbps", self.initial_std_mbps)
        low, high = self.step_low_mbps, self.step_high_mbps
        require(abs(low) <= MOST_MBPS, "step_low_mbps", low, f"{-MOST_MBPS:g} to {MOST_MBPS:g}")
        require(low <= high <= MOST_MBPS, "step_high_mbps", high, f"step_low_mbps to {MOST_MBPS:g}")

    def start(self, seed: int, ue: int) -> float:
        """The rate of tick 0 in Mbit/s, before any bound."""
        draw = briefly(seed, "first rate", ue).standard_normal()
        return abs(self.initial_mean_mbps + self.initial_std_mbps * draw)

    def changes_mbps(self, seed: int, ue: int, number: int) -> np.ndarray:
        """The changes before each tick of a block, shape (256,)."""
        draws = briefly(seed, "channel", ue, number)
        middle = (self.step_low_mbps + self.step_high_mbps) / 2
        half = (self.step_high_mbps - self.step_low_mbps) / 2
        changes = middle + half * (
            draws.standard_normal(BLOCK) if self.step == "normal" else 2 * draws.random(BLOCK) - 1
        )
        if number == 0:
            changes[0] = 0.0
        return changes


@dataclass(frozen=True)
class RandomWalk(_Walk):
    """A rate that starts at |N(50, 16.67)| and changes by a random step each tick, reflected at its bounds.

    Args:
        low_mbps: lower bound in Mbit/s, 0 to 1e6; a step beyond a bound is reflected.
        high_mbps: upper bound in Mbit/s, above `low_mbps` by 1e-6 or more, to 1e6.

    Reference: notes, graded upload; the bounds are ours.
    """

    low_mbps: float = 1.0
    high_mbps: float = 100.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_rates("low_mbps", self.low_mbps, "high_mbps", self.high_mbps)

    def onward(self, seed: int, ue: int, number: int, state: float) -> Tuple[np.ndarray, float]:
        changes = self.changes_mbps(seed, ue, number)
        if self.step_low_mbps == -self.step_high_mbps:
            # If steps up and down are equally distributed, a walk reflected at two bounds is a free walk folded
            # into them.
            rates = self._folded(state + np.cumsum(changes))
        else:
            rates = np.empty(BLOCK)
            for tick, change in enumerate(changes.tolist()):
                rates[tick] = state = float(self._folded(state + change))
        return rates, float(rates[-1])

    def _folded(self, rate_mbps: Any) -> Any:
        period = 2 * (self.high_mbps - self.low_mbps)
        folded = (rate_mbps - self.low_mbps) % period
        return self.low_mbps + np.minimum(folded, period - folded)


@dataclass(frozen=True)
class NotesWalk(_Walk):
    """The notes' walk, which has no bounds: its rate may fall below 0, a quirk. Use `random_walk` instead.

    A rate below 0 cannot be integrated to a delay, so this channel requires the delay rule `rate_at_start`.

    Reference: notes, graded upload.
    """

    falls_below_0 = True

    def onward(self, seed: int, ue: int, number: int, state: float) -> Tuple[np.ndarray, float]:
        rates = state + np.cumsum(self.changes_mbps(seed, ue, number))
        return rates, float(rates[-1])
