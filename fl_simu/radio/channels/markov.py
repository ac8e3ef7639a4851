"""A link that is good or bad: the two-state Markov channel."""

from dataclasses import dataclass
from typing import Optional, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.randomness import briefly
from fl_simu.radio.channels.base import require_rates
from fl_simu.radio.channels.ticked import BLOCK, MOST_TICKS, Walked

# With probabilities this far apart a link looks back 40 blocks on average, and over all 10,000,000 ticks with
# probability e^-1000. Slightly below 0.0001, for differences of floats.
LEAST_APART = 1e-4 * (1 - 1e-9)


@dataclass(frozen=True)
class Markov(Walked):
    """A good and a bad rate; at each tick the link may change its state (Gilbert-Elliott).

    Let p be the probability of leaving the bad state and q that of leaving the good state. In the long run the
    link is good for the share p / (p + q) of the time. It starts in that distribution.

    If the draw of a tick lies between p and q, the next state is the same from either state. So if p and q differ
    by 0.0001 or more, a link is simulated from the last such tick, at any virtual time. Otherwise it is simulated
    from time 0, for at most 10,000,000 ticks.

    Args:
        good_mbps: the good rate in Mbit/s, above `bad_mbps` by 1e-6 or more, to 1e6.
        bad_mbps: the bad rate in Mbit/s, 0 to 1e6.
        leave_good: probability per tick of leaving the good state, above 0 and at most 1.
        leave_bad: probability per tick of leaving the bad state, above 0 and at most 1.

    Reference: Gilbert 1960; Elliott 1963.
    """

    good_mbps: float = 60.0
    bad_mbps: float = 10.0
    leave_good: float = 0.1
    leave_bad: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        require_rates("bad_mbps", self.bad_mbps, "good_mbps", self.good_mbps)
        for name in ("leave_good", "leave_bad"):
            require(0 < getattr(self, name) <= 1, name, getattr(self, name), "above 0 and at most 1")

    def start(self, seed: int, ue: int) -> float:
        """1 if the link is good at tick 0, else 0."""
        share = self.leave_bad / (self.leave_good + self.leave_bad)
        return float(briefly(seed, "first state", ue).random() < share)

    def most_ticks(self) -> int:
        return MOST_TICKS if abs(self.leave_good - self.leave_bad) >= LEAST_APART else super().most_ticks()

    def onward(self, seed: int, ue: int, number: int, state: float) -> Tuple[np.ndarray, float]:
        good = _states(bool(state), *self._leaves(seed, ue, number))
        return np.where(good, self.good_mbps, self.bad_mbps), float(good[-1])

    def ends(self, seed: int, ue: int, number: int) -> Optional[float]:
        leaves_good, leaves_bad = self._leaves(seed, ue, number)
        settling = (leaves_good ^ leaves_bad).nonzero()[0]
        if not len(settling):
            return None
        last = int(settling[-1])
        turns = np.count_nonzero(leaves_good[last + 1 :] & leaves_bad[last + 1 :])
        return float(leaves_bad[last] ^ (turns % 2 == 1))

    def _leaves(self, seed: int, ue: int, number: int) -> Tuple[np.ndarray, np.ndarray]:
        """Whether the link would leave the good state at each tick of a block, and whether it would leave the bad
        state.
        """
        draws = briefly(seed, "channel", ue, number).random(BLOCK)
        if number == 0:
            draws[0] = 1.0
        return draws < self.leave_good, draws < self.leave_bad


def _states(good: bool, leaves_good: np.ndarray, leaves_bad: np.ndarray) -> np.ndarray:
    """Whether the link is good after each tick, given whether it would leave either state, shape (ticks,).

    If it would leave both states, the state flips; if it would leave only one, it ends in the other.
    """
    turns = np.cumsum(leaves_good & leaves_bad)
    ends = np.maximum.accumulate(np.where(leaves_good ^ leaves_bad, np.arange(1, len(turns) + 1), 0))
    state = np.append(good, leaves_bad)[ends]
    return state ^ ((turns - np.append(0, turns)[ends]) % 2 == 1)
