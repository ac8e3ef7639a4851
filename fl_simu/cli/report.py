"""One page on one or several runs: what they came to, in what they differ, their figures."""

import math
import os
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from fl_simu.kernel import config
from fl_simu.kernel.errors import UserError
from fl_simu.results.closing_table import readable_bits
from fl_simu.results.columns import Column, columns_of
from fl_simu.results.evaluated import read_evaluated
from fl_simu.results.figures import png_bytes, require_matplotlib
from fl_simu.results.files import make_folder, read_bytes, refuse_links, told_in_one_line, write_text
from fl_simu.results.pages import Section, Table, figures_of, html_page
from fl_simu.results.records import Summary
from fl_simu.results.run_folder import RunFolder
from fl_simu.results.study_plots import OVER, Line, accuracy_figure
from fl_simu.results.tables import Cells

Say = Callable[[str], None]

HEAD = ["run", "accuracy", "virtual time", "bits sent", "full", "base", "rejected", "rounds", "UEs", "seed",
        "backend", "stack", "wall time", "model_sha256"]  # fmt: skip

# A page has the confusion matrix of so many classes at most; the file has it of more.
MAX_CLASSES_SHOWN = 100


def report(folders: Sequence[Path], out: Optional[Path], say: Say) -> Path:
    """Write an HTML page that needs nothing beside it.

    Args:
        folders: of runs that have ended, at least one.
        out: the file; else report.html in the folder of the run, or runs/report-<time>.html for several.
        say: prints a line.

    Raises:
        UserError: a folder holds no run that has ended, or something cannot be read or written.
    """
    require_matplotlib()
    runs = {_label(folder, folders): RunFolder(folder) for folder in folders}
    if not runs:
        raise UserError("DIR is missing: give the folders of runs that have ended")
    summaries = {label: _summary(run) for label, run in runs.items()}
    configs = {label: _flat(config.read(run.config)) for label, run in runs.items()}
    sections = [_together(runs, summaries, configs)] if len(runs) > 1 else []
    sections += [_section(label, run, summaries[label]) for label, run in runs.items()]
    file = out or _file(list(runs.values()))
    make_folder(file.parent)
    title = next(iter(summaries.values())).name if len(runs) == 1 else f"{len(runs)} runs"
    write_text(file, html_page(title, f"Made of {', '.join(runs)} by fl_simu.", sections))
    say(f"  {file}")
    return file


def _label(folder: Path, folders: Sequence[Path]) -> str:
    """The folder's name, or the whole path where two have one name."""
    names = [other.resolve().name for other in folders]
    name = folder.resolve().name
    return name if names.count(name) == 1 else os.path.normpath(str(folder))


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
    """The keys of a config with those of its tables, as "codec.name", and their values as texts."""
    flat: Dict[str, str] = {}
    for key, value in values.items():
        found = _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: str(value)}
        flat.update(found)
    return flat


def _together(
    runs: Mapping[str, RunFolder],
    summaries: Mapping[str, Summary],
    configs: Mapping[str, Mapping[str, str]],
) -> Section:
    keys = sorted({key for one in configs.values() for key in one})
    differing = [key for key in keys if len({one.get(key) for one in configs.values()}) > 1]
    differences = [["key", *runs]]
    differences += [[key, *(configs[label].get(key, "") for label in runs)] for key in differing]
    shared = _shared_columns(list(summaries.values()))
    rows = [[*_cells(label, one), *_measured(one, shared)] for label, one in summaries.items()]
    tables = [Table([[*HEAD, *(column.heading for column in shared.values())], *rows])]
    tables += [Table(differences)] if differing else []
    records = {label: tuple(run.log.read()) for label, run in runs.items()}
    lines = [Line((label,), (found,)) for label, found in records.items() if found]
    figures = {f"accuracy over {x}": png_bytes(accuracy_figure(lines, x, "Test accuracy")) for x in OVER}
    for name, column in shared.items():
        if not column.axis:
            continue
        figures[f"accuracy over {name}"] = png_bytes(accuracy_figure(lines, name, "Test accuracy", column))
    lead = "What they came to; the keys of the config in which they differ; test accuracy."
    return Section("All runs", lead, tables, figures if lines else {})


def _shared_columns(summaries: Sequence[Summary]) -> Dict[str, Column]:
    """The columns of meters that all runs have."""
    found = [columns_of(summary.facts) for summary in summaries]
    return {name: column for name, column in found[0].items() if all(column == one.get(name) for one in found)}


def _measured(summary: Summary, columns: Mapping[str, Column]) -> List[str]:
    """What the columns of meters come to."""
    values = [summary.facts["meters"][name]["value"] for name in columns]
    return ["not measured" if value is None else f"{value:.4g}" for value in values]


def _section(label: str, run: RunFolder, summary: Summary) -> Section:
    text = read_bytes(run.config).decode("utf-8", "replace")
    figures = figures_of(sorted(run.figures.glob("*.png")))
    lead = f"Experiment {summary.name}. The config below gives the same model again."
    columns = columns_of(summary.facts)
    head = [*HEAD, *(column.heading for column in columns.values())]
    tables = [Table(_upright([head, [*_cells(label, summary), *_measured(summary, columns)]]))]
    matrix = read_evaluated(run.confusion, run.ue_accuracy).confusion
    if matrix is not None and len(matrix) <= MAX_CLASSES_SHOWN:
        predicted = ["true class", *(f"predicted {one}" for one in range(len(matrix)))]
        tables.append(Table([predicted, *([str(at), *map(str, row)] for at, row in enumerate(matrix.tolist()))]))
    return Section(label, lead, tables, figures, text)


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
