"""Compares numbers and words in the notes with our results."""

import math
import re
from dataclasses import asdict, dataclass
from typing import Any, Dict, List, Optional, Sequence, Union

from fl_simu.kernel.errors import require
from fl_simu.results.tables import Cells, markdown_table

Value = Union[float, str]


@dataclass(frozen=True)
class Comparison:
    """A number or word in the notes, and our result.

    Without a tolerance, a number agrees if it equals the notes' number after rounding to the printed digits. A
    word agrees if it is the same.

    Args:
        what: what is compared, with its unit.
        notes: as printed in the notes; None if they do not give it.
        ours: our result.
        tolerance: how far apart two numbers may be and still agree, in the same unit. It is for results that
            depend on draws that the notes do not give, and needs a reason in `why`.
        why: a sentence on the tolerance, or on the difference.

    Raises:
        BadField: ours is neither a number nor a word; or ours is a number and the notes' is not; or the tolerance
            is below 0 or has no reason.

    >>> [Comparison("loss", "0.0435", ours).verdict for ours in (0.04346, 0.0441)]
    ['agrees', 'differs by +0.0006']
    >>> Comparison("accuracy [%]", "98.55", 98.71, 0.3, "other initial weights").verdict
    'agrees within 0.3'
    >>> Comparison("weight of the last model", None, 0.5).verdict
    'not given in the notes'
    """

    what: str
    notes: Optional[str]
    ours: Value
    tolerance: float = 0.0
    why: str = ""

    def __post_init__(self) -> None:
        require(isinstance(self.ours, (float, int, str)), "ours", self.ours, f"a number or a word for {self.what}")
        number = isinstance(self.ours, str) or self.notes is None or re.match(r"-?\d+(\.\d+)?$", self.notes)
        require(bool(number), "notes", self.notes, f"a plain number, as {self.what} is one here")
        require(0 <= self.tolerance < math.inf, "tolerance", self.tolerance, "a finite number, at least 0")
        require(self.tolerance == 0 or bool(self.why), "why", self.why, "a reason for the tolerance")

    @property
    def decimals(self) -> int:
        """Number of decimals in the notes."""
        return len((self.notes or "").partition(".")[2])

    @property
    def verdict(self) -> str:
        """Whether the two agree: "agrees", "differs" (and by how much), or "not given in the notes"."""
        if self.notes is None:
            return "not given in the notes"
        if isinstance(self.ours, str):
            return "agrees" if self.ours == self.notes else "differs"
        # Compare as numbers, because -0.00001 rounds to "-0.0000".
        if float(f"{self.ours:.{self.decimals}f}") == float(self.notes):
            return "agrees"
        if abs(self.ours - float(self.notes)) <= self.tolerance:
            return f"agrees within {self.tolerance:g}"
        return f"differs by {round(self.ours, self.decimals) - float(self.notes):+.{self.decimals}f}"

    def as_dict(self) -> Dict[str, Any]:
        """The fields and the verdict, for JSON."""
        return {**asdict(self), "verdict": self.verdict}

    def shown(self) -> str:
        """Our result with as many digits as in the notes."""
        if isinstance(self.ours, str):
            return self.ours
        return f"{self.ours:.{self.decimals}f}" if self.notes is not None else f"{self.ours:.4g}"


def comparison_cells(comparisons: Sequence[Comparison]) -> Cells:
    """A header, and one row per comparison."""
    head = ["what", "notes", "here", "verdict", "why"]
    return [head] + [[one.what, one.notes or "", one.shown(), one.verdict, one.why] for one in comparisons]


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """The comparisons as a table in Markdown, with a final newline."""
    return markdown_table(comparison_cells(comparisons))


def read_comparisons(rows: Sequence[Dict[str, Any]]) -> List[Comparison]:
    """The comparisons from rows made by `as_dict`."""
    return [Comparison(**{key: value for key, value in row.items() if key != "verdict"}) for row in rows]
