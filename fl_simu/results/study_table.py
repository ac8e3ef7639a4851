"""What the runs of a study come to, as rows of numbers and as a table of texts."""

from statistics import mean, stdev
from typing import Any, Dict, List, Mapping, Optional, Sequence

from fl_simu.results.records import ACCEPTED, RoundRecord, readable_bits
from fl_simu.results.study_plots import Line, share
from fl_simu.results.tables import Cells

Row = Dict[str, Any]

# What a row holds beside its levels and its number of runs.
VALUES = (
    "accuracy_mean", "accuracy_deviation", "time_s", "bits", "target_accuracy", "reached", "target_time_s",
    "target_bits", *ACCEPTED,
)  # fmt: skip


def rows(axes: Mapping[str, Any], lines: Sequence[Line], target_accuracy: float) -> List[Row]:
    """One row a line: its levels, and mean and sample deviation over its runs.

    Args:
        axes: names of the axes, in the order of each line's levels.
        lines: the runs.
        target_accuracy: 0 to 1.

    Returns:
        Rows with `levels` (a name for each axis); `runs`; `accuracy_mean` and `accuracy_deviation` of the last
        round, 0 to 1 (the deviation is None for one run); `time_s` and `bits`, means over the runs;
        `target_accuracy`; `reached`, the runs that reached it; `target_time_s` and `target_bits`, means over those
        runs (None where there are none); and the shares `full`, `base`, `none` of all uploads.
    """
    return [{"levels": dict(zip(axes, line.levels)), **_numbers(line, target_accuracy)} for line in lines]


def _numbers(line: Line, target: float) -> Row:
    last = [run[-1] for run in line.runs]
    accuracies = [record.accuracy for record in last]
    reached = [found for found in (_reach(run, target) for run in line.runs) if found]
    return {
        "runs": len(line.runs),
        "accuracy_mean": mean(accuracies),
        "accuracy_deviation": stdev(accuracies) if len(accuracies) > 1 else None,
        "time_s": mean(record.time_s for record in last),
        "bits": mean(sum(record.uplink_bits for record in run) for run in line.runs),
        "target_accuracy": target,
        "reached": len(reached),
        "target_time_s": mean(found["time_s"] for found in reached) if reached else None,
        "target_bits": mean(found["bits"] for found in reached) if reached else None,
        **{kind: mean(share(run, kind) for run in line.runs) for kind in ACCEPTED},
    }


def _reach(run: Sequence[RoundRecord], target: float) -> Optional[Dict[str, float]]:
    """Virtual time and bits at the first round that is as good as the target."""
    bits = 0
    for record in run:
        bits += record.uplink_bits
        if record.accuracy >= target:
            return {"time_s": record.time_s, "bits": bits}
    return None


def cells(table: Sequence[Row]) -> Cells:
    """The rows as texts, with a head."""
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
    return [head] + [[*row["levels"].values(), *_cells(row)] for row in table]


def _cells(row: Row) -> List[str]:
    accuracy = f"{100 * row['accuracy_mean']:.2f}"
    if row["accuracy_deviation"] is not None:
        accuracy += f" ± {100 * row['accuracy_deviation']:.2f}"
    time_s, sent = "never", "never"
    if row["reached"]:
        some = "" if row["reached"] == row["runs"] else f" ({row['reached']} of {row['runs']})"
        time_s, sent = f"{row['target_time_s']:.1f}{some}", readable_bits(row["target_bits"])
    shares = [f"{100 * row[kind]:.0f}" for kind in ACCEPTED]
    return [accuracy, f"{row['time_s']:.1f}", readable_bits(row["bits"]), time_s, sent, *shares]
