"""Claims of papers beside what comes out here: inequalities and printed numbers, with their verdicts."""

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
    """One claim and what came of it.

    Args:
        says: the claim, in one sentence.
        source: who says it, and where.
        here: what came out.
        verdict: begins with one of `VERDICTS`.
        expected: which of them it was when the experiment was last described; "" where nobody wrote it down.
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
        """Which of `VERDICTS` it is."""
        return next(one for one in VERDICTS if self.verdict.startswith(one))

    @property
    def changed(self) -> bool:
        """Whether the verdict is another than the one that was written down."""
        return bool(self.expected) and self.kind != self.expected

    def as_dict(self) -> Dict[str, Any]:
        """The fields, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Reading:
    """One value of one run.

    Args:
        value: the number; of a target that was never reached what the run had come to at its end.
        reached: False for a target that was never reached: the value would have been larger.
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

    The difference of each pair is `than - times * less`. The claim agrees where the 95 % interval of Student's t
    of the mean difference lies above 0, differs where it lies below, and cannot be told where it holds 0. With
    `within` the claim is that the two are the same up to that: it agrees where the interval lies inside
    [-within, within], differs where it lies outside.

    A target that was never reached counts with the whole run where that can only weaken the evidence; else nothing
    can be told.

    Args:
        says, source, expected: as of a `Finding`.
        less: a reading for each seed of what is said to be less.
        than: of what it is said to be less than, in the same order.
        unit: of the readings.
        times: how many times less; a number above 0.
        within: by how much two values that are called the same may differ, in the same unit.

    Raises:
        BadField: no readings, or not as many of both; times not above 0, or within below 0.

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
    """Whether a target that was not reached in one of the runs can only have weakened the evidence of the pair."""
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
    """A number or word as a paper prints it beside ours; see `Comparison`.

    >>> printed("rate [Mbit/s]", "eq. (1)", "5.6724", 5.67242).verdict
    'agrees'
    """
    one = Comparison(says, number, ours, tolerance, why)
    because = f" ({why})" if why else ""
    return Finding(f"{says}: {number}", source, one.shown(), one.verdict + because, expected)


def finding_cells(findings: Sequence[Finding]) -> Cells:
    """A head, and a row a finding."""
    head = ["claim", "source", "here", "verdict"]
    return [head] + [[one.says, one.source, one.here, one.verdict] for one in findings]


def finding_table(findings: Sequence[Finding]) -> str:
    """The findings as a table in Markdown, with a final newline."""
    return markdown_table(finding_cells(findings))


def changes(findings: Sequence[Finding]) -> List[str]:
    """A line for each finding whose verdict is another than the one that was written down."""
    return [f"{one.says}: {one.verdict}, where it was {one.expected}" for one in findings if one.changed]
