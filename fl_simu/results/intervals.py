"""How far a measured share may be from the true one."""

import math
from typing import Tuple

# Of a normal distribution 95 % lie within so many deviations.
Z95 = 1.959963984540054


def wilson(passed: int, count: int) -> Tuple[float, float]:
    """The 95 % interval of a chance that came true `passed` times in `count` independent draws.

    Reference: Wilson 1927.

    >>> [round(limit, 4) for limit in wilson(50, 100)]
    [0.4038, 0.5962]
    """
    share, z2 = passed / count, Z95**2 / count
    middle = share + z2 / 2
    half = Z95 * math.sqrt(share * (1 - share) / count + z2 / count / 4)
    return max(0.0, (middle - half) / (1 + z2)), min(1.0, (middle + half) / (1 + z2))
