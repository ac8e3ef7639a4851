"""A rate that remembers: the Gauss-Markov process."""

import math
from dataclasses import dataclass
from typing import Tuple

import numpy as np

from fl_simu.kernel.limits import require_share
from fl_simu.kernel.randomness import briefly
from fl_simu.radio.channels.base import LEAST_MBPS, require_rate
from fl_simu.radio.channels.ticked import BLOCK, MOST_TICKS, Walked

# In ticks; a block costs 256 times as many products.
LONGEST_REACH = 2**15


@dataclass(frozen=True)
class GaussMarkov(Walked):
    r"""A rate that drifts around its mean, with a memory of where it was.

    .. math:: x_{t+1} = a x_t + \sqrt{1 - a^2}\,w_t, \quad r_t = \max(0, mean + std\,x_t), \quad w_t \sim N(0, 1)

    It is stationary: every tick alone is distributed as max(0, N(mean, std)), and two ticks k apart have the
    correlation a^k (before the cut at 0). A past that fades to 1e-9 within 32,768 ticks, as with a memory up to
    0.99936, is summed for each block of 256 ticks anew; with a longer one the link walks from time 0.

    Args:
        mean_mbps: mean in Mbit/s, 1e-6 to 1e6.
        std_mbps: standard deviation in Mbit/s, 0 to 1e6.
        memory: a, the correlation of two ticks in a row, 0 or more and below 1.

    Reference: Liang and Haas 1999, as a model of a link's rate.
    """

    mean_mbps: float = 50.0
    std_mbps: float = 16.67
    memory: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        require_rate("mean_mbps", self.mean_mbps, LEAST_MBPS)
        require_rate("std_mbps", self.std_mbps)
        require_share("memory", self.memory)

    def most_ticks(self) -> int:
        return super().most_ticks() if self._reach() > LONGEST_REACH else MOST_TICKS

    def block(self, seed: int, ue: int, number: int) -> np.ndarray:
        reach = self._reach()
        if reach > LONGEST_REACH:
            return super().block(seed, ue, number)
        numbers = range(number - math.ceil(reach / BLOCK), number + 1)
        noise = np.concatenate([_noise(seed, ue, block) for block in numbers])[-reach - BLOCK :]
        return self._rates(np.convolve(noise, self._weights(reach + 1), "valid"))

    def start(self, seed: int, ue: int) -> float:
        """The process before tick 0, as at any time."""
        return float(briefly(seed, "channel before time 0", ue).standard_normal())

    def onward(self, seed: int, ue: int, number: int, state: float) -> Tuple[np.ndarray, float]:
        course = np.convolve(_noise(seed, ue, number), self._weights(BLOCK))[:BLOCK]
        course += state * self.memory ** np.arange(1, BLOCK + 1)
        return self._rates(course), float(course[-1])

    def _reach(self) -> int:
        """How many ticks back the past adds 1e-9 or more: it fades as a^k."""
        return math.ceil(math.log(1e-9) / math.log(self.memory)) if self.memory else 0

    def _weights(self, count: int) -> np.ndarray:
        return math.sqrt(1 - self.memory**2) * self.memory ** np.arange(count)

    def _rates(self, course: np.ndarray) -> np.ndarray:
        return np.maximum(0.0, self.mean_mbps + self.std_mbps * course)


def _noise(seed: int, ue: int, number: int) -> np.ndarray:
    """The w of a block, shape (256,); blocks before time 0 have numbers below 0."""
    stage = "channel" if number >= 0 else "channel before time 0"
    return briefly(seed, stage, ue, abs(number)).standard_normal(BLOCK)
