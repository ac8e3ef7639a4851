"""Checks of values from JSON: each function returns its value, or raises TypeError if it has another type."""

import math
from typing import Any, List


def number(value: Any) -> float:
    """A number as a float; NaN for null.

    >>> number(2), number(None)
    (2.0, nan)
    """
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("not a number")
    return float(value)


def count(value: Any) -> int:
    """A whole number from 0 to 2^63 - 1."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise TypeError("not a count")
    return value


def text(value: Any) -> str:
    """A text."""
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def items(value: Any) -> List[Any]:
    """A list."""
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value
