"""Claims in a study.toml: the rows that they compare, and the verdicts of the runs."""

import math
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from pydantic import BaseModel, ConfigDict, Field

from fl_simu.kernel.errors import UserError, require, shown
from fl_simu.results.columns import Columns
from fl_simu.results.findings import VERDICTS, Finding, Reading, inequality, printed
from fl_simu.results.study_plots import Line
from fl_simu.results.study_table import VALUES, Row, rows

# The final value of a run that belongs to each value of a target.
AT_END = {"target_rounds": "rounds", "target_time_s": "time_s", "target_bits": "bits"}
TARGET = "target_"

Axes = Mapping[str, Sequence[str]]
Levels = Tuple[str, ...]


class Claim(BaseModel):
    """A statement about a study, from a paper or made before the run: two rows, or a row and a printed number.

    Fields:
        says: the claim in one sentence.
        source: its author and place.
        value: the compared value of a row: a key of results.json or a column of a meter.
        minus: other values of the same row, and how many times to subtract each.
        at: levels that both rows share, by axis.
        less, than: levels of the row with the smaller value, and of the row with the larger one.
        times, within: as for `inequality`.
        printed: for a claim about one row, the number in the source; `tolerance` and `why` as for a `Comparison`.
        scale: factor on the values of the rows before the comparison, to give `unit`.
        verdict, quick_verdict: the verdicts recorded when the study was described, for the full and quick size.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    says: str
    source: str
    value: str
    minus: Dict[str, float] = {}
    at: Dict[str, str] = {}
    less: Dict[str, str] = {}
    than: Dict[str, str] = {}
    times: float = Field(1.0, gt=0)
    within: Optional[float] = Field(None, ge=0)
    printed: Optional[str] = None
    tolerance: float = 0.0
    why: str = ""
    scale: float = 1.0
    unit: str = ""
    verdict: str = ""
    quick_verdict: str = ""

    def check(self, axes: Axes) -> None:
        """Raise UserError unless the claim is well formed and names one or two rows of these axes."""
        for field, verdict in (("verdict", self.verdict), ("quick_verdict", self.quick_verdict)):
            require(verdict in ("", *VERDICTS), f"claims.{field}", verdict, " or ".join(VERDICTS))
        for name, times in self.minus.items():
            require(math.isfinite(times), f"claims.minus.{name}", times, "a number")
        for changes in (self.at, self.less, self.than):
            for axis, level in changes.items():
                require(axis in axes, "claims", axis, "an axis: " + ", ".join(axes))
                require(level in axes[axis], f"claims.{axis}", level, "a level: " + ", ".join(axes[axis]))
        pair = bool(self.less and self.than)
        require(pair != (self.printed is not None), "claims.less", self.less, "with `than`, or `printed` instead")
        for levels in ({**self.at, **self.less}, {**self.at, **self.than}):
            require(set(levels) == set(axes), "claims.at", levels, "with less or than a level of each axis")

    def check_value(self, columns: Columns) -> None:
        """Raise UserError if rows with these meter columns will lack a value of the claim."""
        axes = [TARGET + name for name, column in columns.items() if column.axis]
        known = [*VALUES, *columns, *axes]
        for field, values in (("value", [self.value]), ("minus", self.minus)):
            for value in values:
                require(value in known, f"claims.{field}", value, "known of these rows: " + ", ".join(known))

    def rows(self, axes: Axes) -> Tuple[Levels, Levels]:
        """The levels of both rows; for a printed number they are the same."""
        first, second = ({**self.at, **one} for one in (self.less, self.than))
        return tuple(first[axis] for axis in axes), tuple(second[axis] for axis in axes)

    def is_of(self, axes: Axes) -> bool:
        """Whether a study with these axes has the rows."""
        return all(level in levels for row in self.rows(axes) for level, levels in zip(row, axes.values()))

    def tested(
        self, axes: Axes, lines: Mapping[Levels, Line], target: float, columns: Columns, quick: bool
    ) -> Finding:
        """Test the claim on the runs.

        Args:
            axes: levels of each axis.
            lines: the runs of each row.
            target: target accuracy of the study, 0 to 1.
            columns: columns of the meters.
            quick: whether to expect `quick_verdict` instead of `verdict`.

        Raises:
            UserError: a row does not have the value.
        """
        expected = self.quick_verdict if quick else self.verdict
        less, than = (self._readings(axes, lines[row], target, columns) for row in self.rows(axes))
        if self.printed is None:
            return inequality(self.says, self.source, less, than, self.unit, self.times, self.within, expected)
        ours = sum(one.value for one in less) / len(less) if all(one.reached for one in less) else "never"
        return printed(self.says, self.source, self.printed, ours, self.tolerance, self.why, expected)

    def _readings(self, axes: Axes, line: Line, target: float, columns: Columns) -> List[Reading]:
        """One reading per run."""
        found = []
        for run in line.runs:
            (row,) = rows(axes, [Line(line.levels, (run,))], target, columns)
            reading = _reading(self.value, row)
            for name, times in self.minus.items():
                other = _reading(name, row)
                reached = reading.reached and other.reached
                # If a target was not reached, nothing is known about the sign of the remaining difference.
                value = reading.value - times * other.value if reached else math.nan
                reading = Reading(value, reached)
            found.append(Reading(self.scale * reading.value, reading.reached))
        return found


def _reading(name: str, row: Row) -> Reading:
    """The value in a row of one run; for a target that was never reached, the run's value at its end."""
    value, at_end = row.get(name), AT_END.get(name, name[len(TARGET) :])
    never = value is None and name.startswith(TARGET)
    value = row.get(at_end) if never else value
    if not isinstance(value, (int, float)):
        levels = ", ".join(row["levels"].values())
        raise UserError(f"claims.value = {shown(name)}: {levels} does not have it")
    return Reading(value, not never)
