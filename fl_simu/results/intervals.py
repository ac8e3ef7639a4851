"""Confidence intervals of a measured share or mean."""

import math
from statistics import mean, stdev
from typing import Sequence, Tuple

# 95 % of a normal distribution lie within this many standard deviations.
Z95 = 1.959963984540054


def wilson(passed: int, count: int) -> Tuple[float, float]:
    """The 95 % interval of a probability, after `passed` successes in `count` independent draws.

    Reference: Wilson 1927.

    >>> [round(limit, 4) for limit in wilson(50, 100)]
    [0.4038, 0.5962]
    """
    share, z2 = passed / count, Z95**2 / count
    middle = share + z2 / 2
    half = Z95 * math.sqrt(share * (1 - share) / count + z2 / count / 4)
    return max(0.0, (middle - half) / (1 + z2)), min(1.0, (middle + half) / (1 + z2))


def student(values: Sequence[float]) -> Tuple[float, float, float]:
    """The mean and the limits of its 95 % interval by Student's t; infinite limits for a single value.

    >>> [round(one, 3) for one in student([1.0, 2.0, 3.0])]
    [2.0, -0.484, 4.484]
    """
    from scipy.stats import t

    middle = mean(values)
    if len(values) == 1:
        return middle, -math.inf, math.inf
    half = float(t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return middle, middle - half, middle + half
