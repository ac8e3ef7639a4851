"""Compares claims of papers with our results: inequalities and printed numbers, with their verdicts."""

import math
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any, Dict, List, Optional, Sequence

from fl_simu.kernel.errors import require
from fl_simu.results.comparisons import Comparison, Value
from fl_simu.results.intervals import student
from fl_simu.results.tables import Cells, markdown_table

AGREES, DIFFERS, UNTOLD = VERDICTS = ("agrees", "differs", "cannot be told")


@dataclass(frozen=True)
class Finding:
    """One claim and its result.

    Args:
        says: the claim, in one sentence.
        source: who makes the claim, and where.
        here: our result.
        verdict: begins with one of `VERDICTS`.
        expected: the one of `VERDICTS` that the experiment's description recorded; "" if it recorded none.
    """

    says: str
    source: str
    here: str
    verdict: str
    expected: str = ""

    def __post_init__(self) -> None:
        kinds = " or ".join(map(repr, VERDICTS))
        require(self.verdict.startswith(VERDICTS), "verdict", self.verdict, f"{kinds} at its beginning")
        require(self.expected in ("", *VERDICTS), "expected", self.expected, f"{kinds}, or nothing")

    @property
    def kind(self) -> str:
        """The one of `VERDICTS` that it is."""
        return next(one for one in VERDICTS if self.verdict.startswith(one))

    @property
    def changed(self) -> bool:
        """Whether the verdict differs from the recorded one."""
        return bool(self.expected) and self.kind != self.expected

    def as_dict(self) -> Dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Reading:
    """One value of one run.

    Args:
        value: the number; if a target was never reached, the run's value at its end.
        reached: False if a target was never reached; the true value would be larger.
    """

    value: float
    reached: bool = True


def inequality(
    says: str,
    source: str,
    less: Sequence[Reading],
    than: Sequence[Reading],
    unit: str = "",
    times: float = 1.0,
    within: Optional[float] = None,
    expected: str = "",
) -> Finding:
    """Test that one value is less than another, over pairs of runs with the same seeds.

    The difference of each pair is `than - times * less`. The claim agrees if the 95 % interval of Student's t for
    the mean difference lies above 0, differs if it lies below 0, and cannot be told if it contains 0. With
    `within`, the claim is that the two values are the same up to that difference. It agrees if the interval lies
    inside [-within, within], and differs if it lies outside.

    If a run never reached a target, its value at its end is used if that can only weaken the evidence. Otherwise
    nothing can be told.

    Args:
        says, source, expected: as in `Finding`.
        less: for each seed a reading of the value that is claimed to be less.
        than: for each seed a reading of the other value, in the same order.
        unit: of the readings.
        times: how many times less; a number above 0.
        within: the largest difference of two values that count as the same, in the same unit.

    Raises:
        BadField: there are no readings, or not as many of both; `times` is not above 0, or `within` is below 0.

    >>> def readings(*values):
    ...     return [Reading(value) for value in values]
    >>> inequality("a < b", "", readings(1.0, 2.0, 3.0), readings(2.0, 3.1, 3.9), unit="s").here
    '2 s against 3 s; difference 1 [0.752, 1.25] s, 3 seeds'
    """
    require(len(less) == len(than) > 0, "than", len(than), f"as many readings as of the other ({len(less)})")
    require(0 < times < math.inf, "times", times, "a number above 0")
    require(within is None or 0 <= within < math.inf, "within", within, "a number, at least 0")
    pairs = list(zip(less, than))
    unknown = sum(not _is_known(one, other, times, within) for one, other in pairs)
    if unknown:
        here = f"{unknown} of {len(pairs)} seeds tell nothing"
        why = f"{UNTOLD}, because the target was not reached there"
        return Finding(says, source, here, why, expected)
    middle, low, high = student([other.value - times * one.value for one, other in pairs])
    first, second = (mean(one.value for one in side) for side in (less, than))
    unit, factor = unit and f" {unit}", "" if times == 1 else f" to {times:g} times the first"
    here = (
        f"{first:.4g}{unit} against {second:.4g}{unit}; difference{factor} {middle:.3g} [{low:.3g}, {high:.3g}]"
        f"{unit}, {len(pairs)} seeds"
    )
    return Finding(says, source, here, _verdict(low, high, within), expected)


def _is_known(less: Reading, than: Reading, times: float, within: Optional[float]) -> bool:
    """Whether the pair has no unreached target, or only one that can merely have weakened the evidence."""
    if less.reached and than.reached:
        return True
    if within is not None:
        return False
    bound = than.value - times * less.value
    return (less.reached and bound > 0) or (than.reached and bound <= 0)


def _verdict(low: float, high: float, within: Optional[float]) -> str:
    if math.isinf(low):
        return f"{UNTOLD}, because one seed has no spread"
    if within is None:
        holds, fails = low > 0, high < 0 or low == high == 0
    else:
        holds, fails = -within <= low and high <= within, high < -within or low > within
    if holds:
        return AGREES
    return DIFFERS if fails else f"{UNTOLD}, because the interval holds both"


def printed(
    says: str, source: str, number: str, ours: Value, tolerance: float = 0.0, why: str = "", expected: str = ""
) -> Finding:
    """Compare a number or word as printed in a paper with our result; see `Comparison`.

    >>> printed("rate [Mbit/s]", "eq. (1)", "5.6724", 5.67242).verdict
    'agrees'
    """
    one = Comparison(says, number, ours, tolerance, why)
    because = f" ({why})" if why else ""
    return Finding(f"{says}: {number}", source, one.shown(), one.verdict + because, expected)


def finding_cells(findings: Sequence[Finding]) -> Cells:
    """A header, and one row per finding."""
    head = ["claim", "source", "here", "verdict"]
    return [head] + [[one.says, one.source, one.here, one.verdict] for one in findings]


def finding_table(findings: Sequence[Finding]) -> str:
    """The findings as a table in Markdown, with a final newline."""
    return markdown_table(finding_cells(findings))


def changes(findings: Sequence[Finding]) -> List[str]:
    """A line for each finding whose verdict differs from the recorded one."""
    return [f"{one.says}: {one.verdict}, where it was {one.expected}" for one in findings if one.changed]
