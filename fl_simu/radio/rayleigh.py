"""Means over Rayleigh fading, for links that average over the fading or cannot know it."""

import math
from typing import Callable

import numpy as np

# With a power gain h = e^t, the density e^(t - h) is negligible beyond these t. A smaller step adds no accuracy
# for functions that are smooth in t.
_LOGS, _STEP = np.linspace(-60.0, 6.0, 661, retstep=True)
_GAINS = np.exp(_LOGS)
_WEIGHTS = _GAINS * np.exp(-_GAINS) * _STEP


def rayleigh_mean(of_gain: Callable[[np.ndarray], np.ndarray]) -> float:
    """The mean of a function of the power gain h, exponential with mean 1, by the trapezoidal rule over log h.

    No accuracy is lost if the mean is close to 0 or 1, since no difference of two close numbers occurs.

    Args:
        of_gain: function that takes gains above 0 and returns a number for each, same shape.
    """
    return float(np.sum(_WEIGHTS * of_gain(_GAINS)))


def waterfall_error(ratio: float) -> float:
    r"""The probability that a block is lost, :math:`E_h[1 - e^{-a / h}] = 1 - 2 \sqrt{a} K_1(2 \sqrt{a})`.

    Args:
        ratio: a, the waterfall threshold over the mean SINR (not in dB), at least 0.

    >>> round(waterfall_error(0.1), 4)
    0.2334
    """
    return rayleigh_mean(lambda gains: -np.expm1(-ratio / gains))


def waterfall_arrives(ratio: float, draws: np.random.Generator, fading: bool = True) -> bool:
    """Whether such a block arrives, with h drawn; without fading h is 1."""
    # P(E h > a) = exp(-a / h) for a given h, where E is exponential with mean 1.
    gain, luck = (-math.log1p(-draws.random()) for _ in range(2))
    return luck * (gain if fading else 1.0) > ratio


def shannon_mean(sinr: float) -> float:
    r"""The mean rate over fading in bit/s/Hz.

    .. math:: E_h[\log_2(1 + \gamma h)] = e^{1 / \gamma} E_1(1 / \gamma) / \ln 2

    Args:
        sinr: :math:`\gamma`, the mean SINR (not in dB), at least 0.

    Reference: Goldsmith, Wireless Communications, section 4.2.2.

    >>> round(shannon_mean(10.0), 4)
    2.9065
    """
    return rayleigh_mean(lambda gains: np.log1p(sinr * gains)) / math.log(2)
