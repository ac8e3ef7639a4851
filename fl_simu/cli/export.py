"""Tables of a run or a study for other programs: CSV files, LaTeX tables."""

from pathlib import Path
from typing import Any, Callable, Dict, Optional

from fl_simu.kernel.errors import UserError
from fl_simu.results.columns import alike, columns_of
from fl_simu.results.exports import csv_text, round_rows, run_tables, study_rows, study_tables, upload_rows
from fl_simu.results.files import make_folder, read_json, refuse_links, told_in_one_line, write_text
from fl_simu.results.records import Summary
from fl_simu.results.run_folder import RunFolder

Say = Callable[[str], None]


def export(folder: Path, as_csv: bool, as_latex: bool, out: Optional[Path], say: Say) -> None:
    """Write tables of the results of a run or a study.

    Args:
        folder: the folder of a run, or of a study or a script below runs/reproduce.
        as_csv: write rounds.csv and uploads.csv of a run, results.csv of a study.
        as_latex: write run.tex of a run that has ended; results.tex, comparisons.tex and findings.tex of a study.
        out: the folder for the tables; `folder` itself if None.
        say: prints a line.

    Raises:
        UserError: no format is given, there is no such folder, or a file is damaged or cannot be written.
    """
    if not (as_csv or as_latex):
        raise UserError("--csv or --latex is missing: which tables to write")
    run = RunFolder(folder)
    with told_in_one_line(folder, "read"):
        is_run = run.config.exists()
    refuse_links(folder)
    texts = _of_run(run, as_csv, as_latex) if is_run else _of_study(folder, as_csv, as_latex)
    place = make_folder(out or folder)
    for name, text in texts.items():
        write_text(place / name, text)
        say(f"  {place / name}")


def _of_run(run: RunFolder, as_csv: bool, as_latex: bool) -> Dict[str, str]:
    records, texts = run.log.read(), {}
    if as_csv:
        if not records:
            raise UserError(f"{run.path} has no round yet")
        texts.update({"rounds.csv": csv_text(round_rows(records)), "uploads.csv": csv_text(upload_rows(records))})
    if as_latex:
        with told_in_one_line(run.summary, "read"):
            ended = run.summary.exists()
        if not ended:
            raise UserError(f"{run.path} holds no run that has ended: it has no summary.json")
        texts.update(run_tables(Summary.read(run.summary)))
    return texts


def _of_study(folder: Path, as_csv: bool, as_latex: bool) -> Dict[str, str]:
    left = {name: _read(folder / f"{name}.json") for name in ("results", "comparisons", "findings")}
    if not any(left.values()):
        raise UserError(f"{folder} holds neither a run nor what `reproduce` makes of a study or a script")
    texts = {}
    if as_csv:
        if not left["results"]:
            raise UserError(f"{folder} holds no results.json: only a run or a study has tables for CSV")
        try:
            texts["results.csv"] = csv_text(study_rows(left["results"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{folder / 'results.json'} is damaged ({type(error).__name__})") from None
    if as_latex:
        summaries = [Summary.read(file) for file in sorted(folder.glob("runs/*/summary.json"))]
        texts.update(study_tables(left, alike([columns_of(summary.facts) for summary in summaries])))
    return texts


def _read(file: Path) -> Any:
    """The rows of a JSON file; none if the file does not exist."""
    with told_in_one_line(file, "read"):
        there = file.exists()
    try:
        rows = read_json(file) if there else []
    except UserError:
        raise
    except ValueError:
        rows = None
    if not isinstance(rows, list):
        raise UserError(f"{file} is damaged: it holds no list")
    return rows
