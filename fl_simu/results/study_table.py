"""The results of a study's runs, as rows of numbers and as a table of texts."""

from math import isnan
from statistics import mean, stdev
from typing import Any, Dict, List, Mapping, Optional, Sequence

from fl_simu.results.attack_measures import Measures, confidence, hit, ratio
from fl_simu.results.closing_table import readable_bits
from fl_simu.results.columns import NONE, Columns, so_far
from fl_simu.results.records import ACCEPTED, RoundRecord
from fl_simu.results.study_plots import Line, share
from fl_simu.results.tables import Cells
from fl_simu.results.targets import reached

Row = Dict[str, Any]

# The entries of a row that are None without a targeted attack.
OF_TARGETS = ("confidence", "late_confidence", "hits", "surely_hit", "rounds_to_hit")
# The entries of a row in addition to its levels and its number of runs.
VALUES = (
    "accuracy_mean", "accuracy_deviation", "rounds", "time_s", "bits", "target_accuracy", "reached",
    "target_rounds", "target_time_s", "target_bits", *ACCEPTED, "taken_per_round", "late_accuracy", *OF_TARGETS,
    "distance_ratio",
)  # fmt: skip

# A target counts as surely hit when the confidence in its wrong class is above this.
SURE = 0.9


def rows(
    axes: Mapping[str, Any], lines: Sequence[Line], target_accuracy: float, columns: Columns = NONE
) -> List[Row]:
    """One row per line: its levels, and mean and sample standard deviation over its runs.

    Args:
        axes: names of the axes, in the order of each line's levels.
        lines: the runs.
        target_accuracy: 0 to 1.
        columns: the meter columns of any of the runs.

    Returns:
        Rows with `levels` (a name for each axis); `runs`; `accuracy_mean` and `accuracy_deviation` of the last
        round, 0 to 1 (the deviation is None for one run); `rounds`, `time_s` and `bits`, means over the runs;
        `target_accuracy`; `reached`, the runs that reached it; `target_rounds`, `target_time_s` and `target_bits`,
        means over those runs (None if there are none); the shares `full`, `base`, `none` of all uploads; and
        `taken_per_round`, the uploads of which the BS has taken something, a mean over the rounds.

        If any run is under an attack, also `late_accuracy`, over the second half of the rounds, because an attack
        may let the accuracy swing. The following are None without an attack: `confidence` in the targets' wrong
        classes after the last round, and `late_confidence` over the second half; `hits`, the share of targets hit,
        over all rounds; `surely_hit`, the runs whose confidence was ever above 0.9, and `rounds_to_hit`, the first
        such round, a mean over those runs; `distance_ratio`, the distance of malicious updates from the benign
        mean over the benign spread, a mean over all rounds.

        For each column its total, a mean over the runs, and, if it is an axis, its total when the target was
        reached, as `target_<name>`; None if the runs lack the column.
    """
    attacked = any(record.attack is not None for line in lines for run in line.runs for record in run)
    return [
        {
            "levels": dict(zip(axes, line.levels)),
            **_numbers(line, target_accuracy),
            **(_attack_numbers(line) if attacked else {}),
            **_column_numbers(line, target_accuracy, columns),
        }
        for line in lines
    ]


def _attack_numbers(line: Line) -> Row:
    ratios = [ratio(measures) for run in line.runs for measures in _measures(run)]
    known = [one for one in ratios if one is not None]
    return {
        "late_accuracy": mean(_late_accuracy(run) for run in line.runs),
        **(_target_numbers(line) if line.is_targeted else dict.fromkeys(OF_TARGETS)),
        "distance_ratio": mean(known) if known else None,
    }


def _target_numbers(line: Line) -> Row:
    sure = [[confidence(measures) for measures in _measures(run)] for run in line.runs]
    first = [next((at for at, one in enumerate(run, start=1) if one > SURE), None) for run in sure]
    found = [at for at in first if at is not None]
    return {
        "confidence": mean(run[-1] for run in sure),
        "late_confidence": mean(mean(_second_half(run)) for run in sure),
        "hits": mean(mean(hit(measures) for measures in _measures(run)) for run in line.runs),
        "surely_hit": len(found),
        "rounds_to_hit": mean(found) if found else None,
    }


def _late_accuracy(run: Sequence[RoundRecord]) -> float:
    """The mean accuracy of the evaluated rounds in the second half; the last round is always evaluated."""
    return mean(record.accuracy for record in _second_half(run) if not isnan(record.accuracy))


def _second_half(rounds: Sequence[Any]) -> Sequence[Any]:
    """The second half of the rounds; with the middle one if their number is odd."""
    return rounds[len(rounds) // 2 :]


def _measures(run: Sequence[RoundRecord]) -> List[Measures]:
    return [record.attack for record in run if record.attack is not None]


def _numbers(line: Line, target: float) -> Row:
    last = [run[-1] for run in line.runs]
    accuracies = [record.accuracy for record in last]
    there = [found for found in (reached(run, target) for run in line.runs) if found]
    return {
        "runs": len(line.runs),
        "accuracy_mean": mean(accuracies),
        "accuracy_deviation": stdev(accuracies) if len(accuracies) > 1 else None,
        "rounds": mean(record.round for record in last),
        "time_s": mean(record.time_s for record in last),
        "bits": mean(sum(record.uplink_bits for record in run) for run in line.runs),
        "target_accuracy": target,
        "reached": len(there),
        "target_rounds": mean(found.round for found in there) if there else None,
        "target_time_s": mean(found.time_s for found in there) if there else None,
        "target_bits": mean(found.uplink_bits for found in there) if there else None,
        **{kind: mean(share(run, kind) for run in line.runs) for kind in ACCEPTED},
        "taken_per_round": mean(_taken_per_round(run) for run in line.runs),
    }


def _taken_per_round(run: Sequence[RoundRecord]) -> float:
    return mean(sum(outcome.accepted != "none" for outcome in record.ues) for record in run)


def _column_numbers(line: Line, target: float, columns: Columns) -> Row:
    found: Row = {}
    for name, column in columns.items():
        if not with_column([line], name):
            found.update({key: None for key in (name, "target_" + name) if key == name or column.axis})
            continue
        runs = [so_far(run, name, column) for run in line.runs]
        found[name] = mean(float(values[-1]) for values in runs)
        if column.axis:
            there = [
                one.meters[name] for one in (reached(run, target, {name: column}) for run in line.runs) if one
            ]
            found["target_" + name] = mean(there) if there else None
    return found


def with_column(lines: Sequence[Line], name: str) -> List[Line]:
    """The lines whose runs have the column."""
    return [line for line in lines if all(any(name in record.meters for record in run) for run in line.runs)]


ATTACK_HEAD = [
    "accuracy, second half [%]",
    "confidence [%]",
    "confidence, second half [%]",
    "targets hit [%]",
    "rounds to 90 %",
    "distance / benign",
]


def cells(table: Sequence[Row], columns: Columns = NONE) -> Cells:
    """The rows as texts, with a header; for columns that are an axis also their totals at the target."""
    target = f"{100 * table[0]['target_accuracy']:g} %"
    head = [
        *table[0]["levels"],
        "test accuracy [%]",
        "virtual time [s]",
        "sent",
        f"time to {target} [s]",
        f"sent to {target}",
    ]
    head += ["full [%]", "base [%]", "none [%]"]
    attacked = "confidence" in table[0]
    head += ATTACK_HEAD if attacked else []
    for column in columns.values():
        head += [column.heading]
        head += [column._replace(label=f"{column.label} to {target}").heading] if column.axis else []
    return [head] + [
        [
            *row["levels"].values(),
            *_cells(row),
            *(_attack_cells(row) if attacked else []),
            *(
                "" if row[name] is None else _number(row[key])
                for name in columns
                for key in (name, "target_" + name)
                if key in row
            ),
        ]
        for row in table
    ]


def _number(value: Optional[float]) -> str:
    return "never" if value is None else f"{value:.4g}"


def _seconds(time_s: float) -> str:
    """A time with one decimal, or with three digits if it is below 1 s."""
    return f"{time_s:.1f}" if time_s >= 1 else f"{time_s:.3g}"


def _attack_cells(row: Row) -> List[str]:
    far = "" if row["distance_ratio"] is None else f"{row['distance_ratio']:.2f}"
    late = f"{100 * row['late_accuracy']:.1f}"
    if row["confidence"] is None:
        return [late, "", "", "", "", far]
    rounds = "never"
    if row["surely_hit"]:
        some = "" if row["surely_hit"] == row["runs"] else f" ({row['surely_hit']} of {row['runs']})"
        rounds = f"{row['rounds_to_hit']:.1f}{some}"
    sure, late_sure = (f"{100 * row[name]:.1f}" for name in ("confidence", "late_confidence"))
    return [late, sure, late_sure, f"{100 * row['hits']:.0f}", rounds, far]


def _cells(row: Row) -> List[str]:
    accuracy = f"{100 * row['accuracy_mean']:.2f}"
    if row["accuracy_deviation"] is not None:
        accuracy += f" ± {100 * row['accuracy_deviation']:.2f}"
    time_s, sent = "never", "never"
    if row["reached"]:
        some = "" if row["reached"] == row["runs"] else f" ({row['reached']} of {row['runs']})"
        time_s, sent = f"{_seconds(row['target_time_s'])}{some}", readable_bits(row["target_bits"])
    shares = [f"{100 * row[kind]:.0f}" for kind in ACCEPTED]
    return [accuracy, _seconds(row["time_s"]), readable_bits(row["bits"]), time_s, sent, *shares]
