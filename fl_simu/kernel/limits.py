"""Ranges in which a simulation is meaningful, for arguments of many parts."""

from fl_simu.kernel.errors import require

# The largest counts of repetitions, UEs, factors of float32 models, and virtual times in s.
MOST, MOST_UES, LARGEST, LONGEST_S = 10**6, 10**7, 1e30, 1e9


def require_count(field: str, value: int, least: int = 1, most: int = MOST) -> None:
    """Raise BadField unless a whole number lies within a range."""
    require(least <= value <= most, field, value, f"a whole number, at least {least} and at most {most}")


def require_factor(field: str, value: float, or_zero: bool = False) -> None:
    """Raise BadField unless a number is positive (or 0, if allowed) and float32 values can be multiplied by it."""
    allowed = "a finite number" + (", at least 0" if or_zero else " above 0") + f", at most {LARGEST:g}"
    require((value >= 1 / LARGEST or (or_zero and value == 0)) and value <= LARGEST, field, value, allowed)


def require_share(field: str, value: float) -> None:
    """Raise BadField unless a number is at least 0 and below 1."""
    require(0 <= value < 1, field, value, "at least 0 and below 1")


def require_time(field: str, value_s: float, or_zero: bool = False) -> None:
    """Raise BadField unless a time in s is positive (or 0, if allowed) and finite."""
    allowed = "a finite number" + (", at least 0" if or_zero else " above 0") + f", at most {LONGEST_S:g}"
    require((value_s > 0 or (or_zero and value_s == 0)) and value_s <= LONGEST_S, field, value_s, allowed)
