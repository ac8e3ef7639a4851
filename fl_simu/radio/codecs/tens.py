"""Powers of ten and decimal exponents from tables, which are faster than the power function and the logarithm."""

import numpy as np

LARGEST_POWER = 110
# Reading from text gives the nearest float64 on every machine; numpy's power is sometimes off by an ulp.
POWERS = np.array([float(f"1e{power}") for power in range(-LARGEST_POWER, LARGEST_POWER + 1)])


def power_of_ten(exponent: np.ndarray) -> np.ndarray:
    """10^exponent, float64, for exponents from -110 to 110; beyond them the last one."""
    return POWERS.take(exponent + LARGEST_POWER, mode="clip")


# Numbers with the same binary exponent lie in one or two decades: the first, and the start of the second.
LARGEST_EXPONENT = 99
BINARY_EXPONENTS = np.arange(2048) - 1023
FIRST_DECADE = np.floor(BINARY_EXPONENTS * np.log10(2.0)).astype(np.int16)
FIRST_DECADE = FIRST_DECADE.clip(-LARGEST_EXPONENT, LARGEST_EXPONENT - 1)
FIRST_DECADE[0] = 0
NEXT_DECADE = power_of_ten(FIRST_DECADE + 1)


def exponent_of(size: np.ndarray) -> np.ndarray:
    """The exponent of the first significant digit of each number, at most 99 in size; 0 for 0.

    Args:
        size: float64, not negative.

    >>> exponent_of(np.array([0.0, 0.00999, 0.01, 1.0, 9.99, 10.0])).tolist()
    [0, -3, -2, 0, 0, 1]
    """
    binary = size.view(np.int64) >> 52
    in_second = size >= NEXT_DECADE.take(binary)
    exponent = FIRST_DECADE.take(binary)
    exponent += in_second
    return exponent
