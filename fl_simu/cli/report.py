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
from fl_simu.results.records import RoundRecord, Summary
from fl_simu.results.run_folder import RunFolder
from fl_simu.results.study_plots import OVER, Line, accuracy_figure
from fl_simu.results.tables import Cells
from fl_simu.results.targets import cells, headings, reached, require_targets, targets_of

Say = Callable[[str], None]

HEAD = ["run", "accuracy", "virtual time", "bits sent", "full", "base", "rejected", "rounds", "UEs", "seed",
        "backend", "stack", "wall time", "model_sha256"]  # fmt: skip

# A page has the confusion matrix of so many classes at most; the file has it of more.
MAX_CLASSES_SHOWN = 100


def report(folders: Sequence[Path], targets: Sequence[float], out: Optional[Path], say: Say) -> Path:
    """Write an HTML page that needs nothing beside it.

    Args:
        folders: of runs that have ended, at least one.
        targets: accuracies, of which it tells what they took; if there are none, those of the runs themselves.
        out: the file; else report.html in the folder of the run, or runs/report-<time>.html for several.
        say: prints a line.

    Raises:
        UserError: a folder holds no run that has ended, or something cannot be read or written.
    """
    require_matplotlib()
    require_targets("--target", targets)
    runs = {_label(folder, folders): RunFolder(folder) for folder in folders}
    if not runs:
        raise UserError("DIR is missing: give the folders of runs that have ended")
    summaries = {label: _summary(run) for label, run in runs.items()}
    configs = {label: _flat(config.read(run.config)) for label, run in runs.items()}
    records = {label: tuple(run.log.read()) for label, run in runs.items()}
    asked = sorted({*targets} or {one for summary in summaries.values() for one in targets_of(summary.facts)})
    sections = [_together(records, summaries, configs, asked)] if len(runs) > 1 else []
    sections += [_section(label, run, summaries[label], records[label], asked) for label, run in runs.items()]
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
    runs: Mapping[str, Sequence[RoundRecord]],
    summaries: Mapping[str, Summary],
    configs: Mapping[str, Mapping[str, str]],
    targets: Sequence[float],
) -> Section:
    keys = sorted({key for one in configs.values() for key in one})
    differing = [key for key in keys if len({one.get(key) for one in configs.values()}) > 1]
    differences = [["key", *runs]]
    differences += [[key, *(configs[label].get(key, "") for label in runs)] for key in differing]
    shared = _shared_columns(list(summaries.values()))
    tables = [
        Table([_head(shared, targets), *(_row(one, summaries[one], runs[one], shared, targets) for one in runs)])
    ]
    tables += [Table(differences)] if differing else []
    lines = [Line((label,), (tuple(found),)) for label, found in runs.items() if found]
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


def _head(columns: Mapping[str, Column], targets: Sequence[float]) -> List[str]:
    reached = [heading for target in targets for heading in headings(target, columns)]
    return [*HEAD, *(column.heading for column in columns.values()), *reached]


def _row(
    label: str,
    summary: Summary,
    records: Sequence[RoundRecord],
    columns: Mapping[str, Column],
    targets: Sequence[float],
) -> List[str]:
    took = [cell for target in targets for cell in cells(reached(records, target, columns), columns)]
    return [*_cells(label, summary), *_measured(summary, columns), *took]


def _section(
    label: str, run: RunFolder, summary: Summary, records: Sequence[RoundRecord], targets: Sequence[float]
) -> Section:
    text = read_bytes(run.config).decode("utf-8", "replace")
    figures = figures_of(sorted(run.figures.glob("*.png")))
    lead = f"Experiment {summary.name}. The config below gives the same model again."
    columns = columns_of(summary.facts)
    tables = [Table(_upright([_head(columns, targets), _row(label, summary, records, columns, targets)]))]
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
