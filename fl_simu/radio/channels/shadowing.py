"""Shadowing along a path: a Gaussian process whose correlation falls with distance."""

import functools
import math
from array import array
from dataclasses import dataclass
from typing import Tuple

import numpy as np

from fl_simu.kernel.randomness import briefly
from fl_simu.radio.channels.mobility import Mobility
from fl_simu.radio.channels.ticked import BLOCK, Stood

# Beyond this many decorrelation lengths a float sees no correlation; and beyond the second number the exponential
# of a distance may overflow a float.
FORGOTTEN, LONGEST = 40.0, 600.0


@dataclass(frozen=True)
class Along:
    r"""A Gaussian process of mean 0 and standard deviation 1 along the path of a UE, at every tick.

    .. math:: E[x(s)\,x(t)] = e^{-d / D}

    where d is the distance that the UE travels between the times s and t. The value is constant while the UE
    stands still.

    Note:
        The value at the first tick of each block follows from that of the previous block, and the values inside
        from those at both ends (a bridge). So a block costs only two numbers for each block before it.

    Args:
        mobility: mobility of the UEs.
        tick_s: length of a tick in s.
        decorrelation_m: decorrelation distance D in m, above 0.
        stage: purpose of the draws, part of their key.

    Reference: Gudmundson 1991, "Correlation Model for Shadow Fading in Mobile Radio Systems".
    """

    mobility: Mobility
    tick_s: float
    decorrelation_m: float
    stage: str

    def block(self, seed: int, ue: int, number: int, first: float, travelled_m: np.ndarray) -> np.ndarray:
        """The values at the ticks of a block, shape (256,).

        Args:
            seed, ue, number: the key of the block.
            first: the value at time 0.
            travelled_m: distance that the UE has travelled at each tick of the block and at the next one, in m,
                shape (257,).
        """
        start, end = self._ends(seed, ue, number, first, float(travelled_m[0]), float(travelled_m[-1]))
        # Distances between are rounded, and may seem to decrease.
        way = np.maximum.accumulate(travelled_m - travelled_m[0]) / self.decorrelation_m
        if way[-1] == 0:
            return np.full(BLOCK, start)
        noise = briefly(seed, self.stage, ue, number).standard_normal(BLOCK)
        free = drifted(start, np.diff(way), noise)
        # The share of the error at the end that each tick gets: their covariance over the variance of the end.
        due = np.exp(way[1:] - way[-1]) * np.expm1(-2 * way[1:]) / np.expm1(-2 * way[-1])
        return np.concatenate([[start], (free + due * (end - free[-1]))[:-1]])

    def _ends(
        self, seed: int, ue: int, number: int, first: float, begin_m: float, end_m: float
    ) -> Tuple[float, float]:
        """The values at the first ticks of a block and of the next one, where the UE has travelled `begin_m` and
        `end_m`.
        """
        values, ways_m = _at_blocks(self, seed, ue, first)
        (block, value), (_, way_m) = values.before(number), ways_m.before(number)
        while block < number:
            stop = min(block + BLOCK, number)
            moments = np.arange(block + 1, stop) * BLOCK * self.tick_s
            come_m = self.mobility.along(seed, ue, moments).travelled_m.tolist() if len(moments) else []
            if stop == number:
                come_m.append(begin_m)
            for next_m in come_m:
                value, way_m, block = self._onward(seed, ue, block, value, next_m - way_m), next_m, block + 1
                values.add(block, value)
                ways_m.add(block, way_m)
        return value, self._onward(seed, ue, number, value, end_m - way_m)

    def _onward(self, seed: int, ue: int, number: int, value: float, way_m: float) -> float:
        """The value at the end of a block in which the UE travels a distance."""
        step = max(way_m, 0.0) / self.decorrelation_m
        noise = _noise(seed, self.stage, ue, (number + 1) // BLOCK)[(number + 1) % BLOCK]
        return math.exp(-step) * value + math.sqrt(-math.expm1(-2 * step)) * noise


def drifted(start: float, steps: np.ndarray, noise: np.ndarray) -> np.ndarray:
    r"""A process with exponential correlation: :math:`x_k = e^{-s_k} x_{k-1} + \sqrt{1 - e^{-2 s_k}}\,w_k`, shape
    (n,).

    Args:
        start: :math:`x_0`.
        steps: s, at least 0, shape (n,).
        noise: w, of mean 0 and standard deviation 1, shape (n,).

    >>> drifted(2.0, np.array([math.log(2), 0.0]), np.array([0.0, 5.0]))
    array([1., 1.])
    """
    steps = np.minimum(steps, FORGOTTEN)
    fresh = np.sqrt(-np.expm1(-2 * steps)) * noise
    count = len(steps) if steps.sum() <= LONGEST else int(LONGEST / FORGOTTEN)
    found = np.empty(len(steps))
    for begin in range(0, len(steps), count):
        part = slice(begin, begin + count)
        grown = np.exp(np.cumsum(steps[part]))
        found[part] = (start + np.cumsum(fresh[part] * grown)) / grown
        start = found[part][-1]
    return found


# Half a kB per link, and 16 bytes per 65,536 ticks: at most 100 MB, after 10,000,000 ticks of each link.
@functools.lru_cache(maxsize=2**15)
def _at_blocks(along: Along, seed: int, ue: int, first: float) -> Tuple[Stood, Stood]:
    """The values at the first ticks of blocks, and the distance in m that the UE has travelled by then."""
    return Stood(first), Stood(0.0)


# 2.5 kB per 256 blocks: at most 10 MB.
@functools.lru_cache(maxsize=4096)
def _noise(seed: int, stage: str, ue: int, number: int) -> "array[float]":
    return array("d", briefly(seed, f"{stage} between blocks", ue, number).standard_normal(BLOCK))
