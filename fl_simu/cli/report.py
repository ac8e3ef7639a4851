"""A page about one or several runs: results, differences between their configs, charts of rounds and uploads."""

import math
import os
import time
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import numpy as np

from fl_simu.kernel import config
from fl_simu.kernel.errors import UserError
from fl_simu.results.charts import Charted, charts
from fl_simu.results.closing_table import readable_bits
from fl_simu.results.columns import Column, columns_of
from fl_simu.results.evaluated import read_evaluated
from fl_simu.results.files import make_folder, read_bytes, refuse_links, told_in_one_line, write_text
from fl_simu.results.pages import Section, Table, figures_of, html_page, require_plotly
from fl_simu.results.records import Summary
from fl_simu.results.run_folder import RunFolder
from fl_simu.results.tables import Cells
from fl_simu.results.targets import cells, headings, reached, require_targets, targets_of
from fl_simu.results.uploads import Round, read_uploads, thresholds_of

Say = Callable[[str], None]

HEAD = ["run", "accuracy", "virtual time", "bits sent", "full", "base", "rejected", "rounds", "UEs", "seed",
        "backend", "stack", "wall time", "model_sha256"]  # fmt: skip

# The page shows the confusion matrix of at most this many classes; the file has it for more.
MAX_CLASSES_SHOWN = 100


# Figures that the interactive charts of the page replace.
CHARTED = ("accuracy.png", "delays.png", "accepted.png", "accuracy-over-*.png")


@dataclass(frozen=True)
class _Run:
    """A run that has ended, as the page shows it."""

    label: str
    folder: RunFolder
    summary: Summary
    config: Mapping[str, str]
    rounds: Sequence[Round]
    charted: Charted


def report(folders: Sequence[Path], targets: Sequence[float], out: Optional[Path], say: Say) -> Path:
    """Write a self-contained HTML page.

    Args:
        folders: the folders of runs that have ended, at least one.
        targets: accuracies; the page gives the cost of reaching each. If empty, the targets of the runs.
        out: the file; if None, report.html in the folder of the run, or runs/report-<time>.html for several.
        say: prints a line.

    Raises:
        UserError: a folder holds no run that has ended, or something cannot be read or written.
    """
    require_plotly()
    require_targets("--target", targets)
    places = {_label(folder, folders): RunFolder(folder) for folder in folders}
    if not places:
        raise UserError("DIR is missing: give the folders of runs that have ended")
    summaries = {label: _summary(place) for label, place in places.items()}
    runs = [_read(label, place, summaries[label]) for label, place in places.items()]
    asked = sorted({*targets} or {one for run in runs for one in targets_of(run.summary.facts)})
    several = len(runs) > 1
    sections = [_together(runs, asked)] if several else []
    sections += [_section(run, asked, None if several else _charts(runs)) for run in runs]
    file = out or _file(list(places.values()))
    make_folder(file.parent)
    title = f"{len(runs)} runs" if several else runs[0].summary.name
    write_text(file, html_page(title, f"Made by fl_simu from {', '.join(places)}.", sections))
    say(f"  {file}")
    return file


def _label(folder: Path, folders: Sequence[Path]) -> str:
    """The folder's name, or the full path if another folder has the same name."""
    names = [other.resolve().name for other in folders]
    name = folder.resolve().name
    found = name if names.count(name) == 1 else os.path.normpath(str(folder))
    # The name may hold bytes that are not valid text.
    return found.encode("utf-8", "backslashreplace").decode("utf-8")


def _read(label: str, folder: RunFolder, summary: Summary) -> _Run:
    flat = _flat(config.read(folder.config))
    rounds, uploads = read_uploads(folder.log)
    columns, limits_s = columns_of(summary.facts), thresholds_of(summary.facts)
    return _Run(label, folder, summary, flat, rounds, Charted(rounds, uploads, summary.ues, columns, limits_s))


def _charts(runs: Sequence[_Run]) -> Optional[Mapping[str, Any]]:
    """Charts of the runs that have at least one round."""
    found = {run.label: run.charted for run in runs if run.rounds}
    return charts(found) if found else None


def _file(runs: Sequence[RunFolder]) -> Path:
    one = runs[0].path / "report.html"
    return one if len(runs) == 1 else Path("runs") / time.strftime("report-%Y%m%d-%H%M%S.html")


def _summary(run: RunFolder) -> Summary:
    with told_in_one_line(run.summary, "read"):
        if not run.summary.exists():
            raise UserError(f"{run.path} holds no run that has ended: it has no summary.json")
    refuse_links(run.path)
    return Summary.read(run.summary)


def _flat(values: Mapping[str, Any], prefix: str = "") -> Dict[str, str]:
    """The keys of a config and of its tables, the latter as "codec.name", with their values as text."""
    flat: Dict[str, str] = {}
    for key, value in values.items():
        found = _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: str(value)}
        flat.update(found)
    return flat


def _together(runs: Sequence[_Run], targets: Sequence[float]) -> Section:
    keys = sorted({key for run in runs for key in run.config})
    differing = [key for key in keys if len({run.config.get(key) for run in runs}) > 1]
    differences = [["key", *(run.label for run in runs)]]
    differences += [[key, *(run.config.get(key, "") for run in runs)] for key in differing]
    shared = _shared_columns([run.summary for run in runs])
    rows = [_row(run, shared, targets) for run in runs]
    tables = [Table(_upright([_head(shared, targets), *rows]), caption="Results")]
    if differing:
        tables.append(Table(differences, caption="Config keys in which the runs differ"))
    lead = "Results of the runs, the config keys in which they differ, and their rounds and uploads."
    return Section("All runs", lead, tables, charts=_charts(runs))


def _shared_columns(summaries: Sequence[Summary]) -> Dict[str, Column]:
    """The meter columns that all runs share."""
    found = [columns_of(summary.facts) for summary in summaries]
    return {name: column for name, column in found[0].items() if all(column == one.get(name) for one in found)}


def _measured(summary: Summary, columns: Mapping[str, Column]) -> List[str]:
    """The final values of the meter columns."""
    values = [summary.facts["meters"][name]["value"] for name in columns]
    return ["not measured" if value is None else f"{value:.4g}" for value in values]


def _head(columns: Mapping[str, Column], targets: Sequence[float]) -> List[str]:
    reached = [heading for target in targets for heading in headings(target, columns)]
    return [*HEAD, *(column.heading for column in columns.values()), *reached]


def _row(run: _Run, columns: Mapping[str, Column], targets: Sequence[float]) -> List[str]:
    took = [cell for target in targets for cell in cells(reached(run.rounds, target, columns), columns)]
    return [*_cells(run.label, run.summary), *_measured(run.summary, columns), *took]


def _section(run: _Run, targets: Sequence[float], found: Optional[Mapping[str, Any]]) -> Section:
    text = read_bytes(run.folder.config).decode("utf-8", "replace")
    pictures = [
        path
        for path in sorted(run.folder.figures.glob("*.png"))
        if not any(fnmatch(path.name, pattern) for pattern in CHARTED)
    ]
    lead = f"Experiment {run.summary.name}. The config below reproduces the model."
    columns = columns_of(run.summary.facts)
    tables = [Table(_upright([_head(columns, targets), _row(run, columns, targets)]))]
    matrix = read_evaluated(run.folder.confusion, run.folder.ue_accuracy).confusion
    below = [_confusion(matrix)] if matrix is not None and len(matrix) <= MAX_CLASSES_SHOWN else []
    return Section(run.label, lead, tables, figures_of(pictures), text, "config.toml", found, below)


def _confusion(matrix: np.ndarray) -> Table:
    """The confusion matrix, shaded by the share of the samples of a true class."""
    head = ["true class", *(f"predicted {one}" for one in range(len(matrix)))]
    rows = [[str(at), *map(str, row)] for at, row in enumerate(matrix.tolist())]
    share = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    return Table([head, *rows], caption="Test samples by true class and by the class predicted", heat=share)


def _cells(label: str, summary: Summary) -> List[str]:
    accuracy = summary.final_accuracy
    uploads = (summary.accepted_full, summary.accepted_base, summary.rejected)
    return [
        label,
        "not measured" if math.isnan(accuracy) else f"{accuracy:.2%}",
        f"{summary.virtual_time_s:.2f} s",
        readable_bits(summary.uplink_bits),
        *map(str, (*uploads, summary.rounds, summary.ues, summary.seed)),
        *(summary.backend, summary.stack, f"{summary.wall_time_s:.1f} s"),
        summary.model_sha256[:16],
    ]


def _upright(cells: Cells) -> Cells:
    return [list(row) for row in zip(*cells)]
