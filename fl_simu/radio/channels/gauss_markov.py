"""A rate that is correlated over time: the Gauss-Markov process."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from fl_simu.kernel.limits import require_share
from fl_simu.kernel.randomness import briefly
from fl_simu.radio.channels.base import LEAST_MBPS, require_rate
from fl_simu.radio.channels.ticked import BLOCK, Ticked

# In ticks; a block needs 256 times as many products.
LONGEST_SUMMED = 2**10


@dataclass(frozen=True)
class GaussMarkov(Ticked):
    r"""A rate that fluctuates around its mean, correlated over time.

    .. math:: x_{t+1} = a x_t + \sqrt{1 - a^2}\,w_t, \quad r_t = \max(0, mean + std\,x_t), \quad w_t \sim N(0, 1)

    The process is stationary: each tick is distributed as max(0, N(mean, std)). Two ticks k apart have the
    correlation a^k (before the cut at 0), where that is 1e-9 or more.

    Note:
        If the past fades to 1e-9 within 1,024 ticks, as with a memory up to 0.97996, it is summed again for each
        block of 256 ticks. With a longer memory the process is drawn from coarse to fine: first at times so far
        apart that they are independent; then at 255 times between any two of these, given both (a bridge); and so
        on down to ticks. So no block depends on the previous one, and all cost the same.

    Args:
        mean_mbps: mean in Mbit/s, 1e-6 to 1e6.
        std_mbps: standard deviation in Mbit/s, 0 to 1e6.
        memory: a, the correlation of two consecutive ticks, 0 or more and below 1.

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

    def block(self, seed: int, ue: int, number: int) -> np.ndarray:
        reach = self.reach()
        if reach > LONGEST_SUMMED:
            course = _bridged(self.memory, seed, ue, 0, number)
        else:
            numbers = range(number - math.ceil(reach / BLOCK), number + 1)
            noise = np.concatenate([_noise(seed, ue, block) for block in numbers])[-reach - BLOCK :]
            weights = math.sqrt(1 - self.memory**2) * self.memory ** np.arange(reach + 1)
            course = np.convolve(noise, weights, "valid")
        return np.maximum(0.0, self.mean_mbps + self.std_mbps * course)

    def reach(self) -> int:
        """Number of past ticks that add 1e-9 or more; their weight falls as a^k."""
        return math.ceil(math.log(1e-9) / math.log(self.memory)) if self.memory else 0


def _noise(seed: int, ue: int, number: int) -> np.ndarray:
    """The w of a block, shape (256,); blocks before time 0 have numbers below 0."""
    stage = "channel" if number >= 0 else "channel before time 0"
    return briefly(seed, stage, ue, abs(number)).standard_normal(BLOCK)


def _bridged(memory: float, seed: int, ue: int, level: int, number: int) -> np.ndarray:
    """The process at 256 times that are 256^level ticks apart, shape (256,). The first is 256 `number` such steps
    after time 0.
    """
    step = BLOCK**level
    noise = briefly(seed, f"channel, every {step} ticks" if level else "channel", ue, number)
    w, forgets = noise.standard_normal(BLOCK), -math.log(memory) * step
    if forgets >= -math.log(1e-9):
        return w
    start, end = (
        _coarser(memory, seed, ue, level + 1, moment // BLOCK)[moment % BLOCK] for moment in (number, number + 1)
    )
    past = np.arange(BLOCK + 1)
    fades = np.exp(-forgets * past)
    # The free process from the start; each time then gets its share of the error at the end: its covariance with
    # the end over the variance of the end.
    free = start * fades
    free[1:] += math.sqrt(-math.expm1(-2 * forgets)) * np.convolve(w, fades[:-1])[:BLOCK]
    due = fades[::-1] * np.expm1(-2 * forgets * past) / math.expm1(-2 * forgets * BLOCK)
    bridge: np.ndarray = (free + due * (end - free[-1]))[:-1]
    return bridge


# 40 MB at most.
_coarser = functools.lru_cache(maxsize=2**14)(_bridged)
