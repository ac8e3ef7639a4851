"""A rate that remembers: the Gauss-Markov process."""

import math
from dataclasses import dataclass

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.randomness import briefly
from fl_simu.uplink.channels.ticked import BLOCK, Ticked


@dataclass(frozen=True)
class GaussMarkov(Ticked):
    r"""A rate that drifts around its mean, with a memory of where it was.

    .. math:: x_{t+1} = a x_t + \sqrt{1 - a^2}\,w_t, \quad r_t = \max(0, mean + std\,x_t), \quad w_t \sim N(0, 1)

    It is stationary: every tick alone is distributed as max(0, N(mean, std)), and two ticks k apart have the
    correlation a^k (before the cut at 0).

    Args:
        tick_s: length of a tick in s, above 0.
        mean_mbps, std_mbps: mean and deviation in Mbit/s, at least 0, the mean above 0.
        memory: a, at least 0 and below 1.

    Reference: Liang and Haas 1999, as a model of a link's rate.
    """

    mean_mbps: float = 50.0
    std_mbps: float = 16.67
    memory: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 < self.mean_mbps < math.inf, "mean_mbps", self.mean_mbps, "a finite number above 0")
        require(0 <= self.std_mbps < math.inf, "std_mbps", self.std_mbps, "a finite number, at least 0")
        require(0 <= self.memory < 1, "memory", self.memory, "at least 0 and below 1")

    def block(self, seed: int, ue: int, number: int) -> np.ndarray:
        # The past fades as a^k: what lies so far back that it adds less than 1e-9 is left out.
        reach = math.ceil(math.log(1e-9) / math.log(self.memory)) if self.memory else 0
        blocks = math.ceil(reach / BLOCK)
        noise = np.concatenate(
            [
                briefly(seed, "channel", ue, max(block, 0)).standard_normal(BLOCK)
                if block >= 0
                else briefly(seed, "channel before time 0", ue, -block).standard_normal(BLOCK)
                for block in range(number - blocks, number + 1)
            ]
        )
        weights = math.sqrt(1 - self.memory**2) * self.memory ** np.arange(reach + 1)
        course = np.convolve(noise, weights)[len(noise) - BLOCK : len(noise)]
        return np.maximum(0.0, self.mean_mbps + self.std_mbps * course)
