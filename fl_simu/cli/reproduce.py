"""Run studies, several experiments at a time, and scripts; report the results."""

import time
from pathlib import Path
from typing import Callable, List, Optional, Sequence, Tuple

from fl_simu.kernel.errors import UserError, nearest, shown
from fl_simu.kernel.shell import command_line
from fl_simu.loop.plan import plan
from fl_simu.results.columns import alike
from fl_simu.results.comparisons import comparison_table
from fl_simu.results.figures import require_matplotlib, write_figures
from fl_simu.results.files import make_folder, refuse_links, remove_leftovers, write_json, write_text
from fl_simu.results.findings import changes, finding_table
from fl_simu.results.pages import Reproduced, counts, markdown_page, reproduced_page
from fl_simu.results.study_plots import OVER, Line, accuracy_figure, attack_figure, shares_figure
from fl_simu.results.study_table import cells, rows, with_column
from fl_simu.results.tables import markdown_table
from fl_simu.studies import catalogue, grid, script
from fl_simu.studies.grid import Study
from fl_simu.studies.pool import MOST_JOBS, run_all
from fl_simu.studies.running import Job, Runs, folders_of
from fl_simu.studies.script import Setup

Say = Callable[[str], None]


def reproduce(
    names: Sequence[str], quick: bool, jobs: int, data_dir: Optional[Path], out: Optional[Path], say: Say
) -> List[str]:
    """Run experiments, groups of experiments or "all", each in `out`/<name>; write reproduced.md and
    reproduced.html to `out`.

    Runs of a study that have ended are not repeated, and interrupted ones resume; a script starts again.

    Args:
        names: names of experiments and groups.
        quick: whether to run the quick size of each.
        jobs: processes at a time.
        data_dir: as for a run.
        out: a folder; runs/reproduce if None.
        say: prints a line.

    Returns:
        A line for each claim whose verdict differs from the recorded one.

    Raises:
        UserError: a name is not known, an experiment is invalid or needs a package that this stack lacks, or a run
            failed.
    """
    require_matplotlib()
    known = list(catalogue.folders())
    if not known:
        raise UserError(f"nothing to reproduce: {catalogue.FOLDER}, which comes with fl_simu, holds no experiment")
    if not names:
        raise UserError("NAME is missing: {} or all".format(", ".join([*known, *catalogue.groups()])))
    if not 1 <= jobs <= MOST_JOBS:
        raise UserError(f"--jobs {shown(jobs)} is not allowed: at least 1, at most {MOST_JOBS}")
    parent, done = out or Path("runs") / "reproduce", []
    for name in _wanted(names, known, say):
        folder = parent / (name + ("-quick" if quick else ""))
        if name in catalogue.studies():
            study = grid.read_study(catalogue.folders()[name], quick)
            done.append(reproduce_study(study, folder, jobs, data_dir, say))
        else:
            done.append(reproduce_script(name, Setup(quick, folder, data_dir, say, jobs)))
        write_text(parent / "reproduced.md", markdown_page(done))
        write_text(parent / "reproduced.html", reproduced_page(done))
    if done:
        say(f"{counts(done)}\n  {parent / 'reproduced.md'}\n  {parent / 'reproduced.html'}")
    return [f"{one.name}: {line}" for one in done for line in changes(one.findings)]


def _wanted(names: Sequence[str], known: Sequence[str], say: Say) -> List[str]:
    """The names to reproduce. A group skips scripts that need syft where it is not available, and says so."""
    groups = {"all": list(known), **catalogue.groups()}
    for name in names:
        if name not in [*known, *groups]:
            raise UserError(f"NAME = {shown(name)} is not known: {nearest(name, [*known, *groups])}")
    wanted = list(dict.fromkeys(one for name in names for one in groups.get(name, [name])))
    lacks = {name: script.missing(name) for name in wanted if name in catalogue.scripts()}
    for name in filter(lacks.get, lacks):
        told = f"{lacks[name]}; see `{command_line('doctor')}`"
        if name in names:
            raise UserError(f"{name} {told}")
        say(f"{name} is skipped: it {told}")
        wanted.remove(name)
    return wanted


def reproduce_script(name: str, setup: Setup) -> Reproduced:
    """Run a script; print what it found."""
    began, title = time.perf_counter(), script.title(name)
    setup.say(f"{name}: {title}\nin {setup.out}")
    comparisons, findings = script.run_script(name, setup)
    setup.say("\n" + script.tables(comparisons, findings))
    figures = _figures(setup.out)
    for path in [setup.out / "table.md", setup.out / "comparisons.json", *figures]:
        setup.say(f"  {path}")
    setup.say(f"{time.perf_counter() - began:.0f} s")
    return Reproduced(name, title, tuple(comparisons), [], figures, tuple(findings))


def reproduce_study(study: Study, folder: Path, jobs: int, data_dir: Optional[Path], say: Say) -> Reproduced:
    """Run the unfinished runs of a study; then write and print the results of all runs."""
    began = time.perf_counter()
    for experiment in study.experiments.values():
        plan(experiment)
    folders = folders_of(study, make_folder(folder / "runs"))
    everything = {
        run.path: Job(", ".join([*levels, f"seed {seed}"]), study.experiments[levels, seed], run)
        for (levels, seed), run in folders.items()
    }
    for run in folders.values():
        refuse_links(run.path)
    remove_leftovers([folder, folder / "figures"])
    todo = [job for job in everything.values() if not job.folder.ended()]
    say(f"{study.name}: {study.title}\n{len(everything)} runs, {len(todo)} of them to run, in {folder}")
    run_all(todo, jobs, Runs(data_dir), say, folder)
    lines = {
        levels: Line(levels, tuple(tuple(folders[levels, seed].log.read()) for seed in study.seeds))
        for levels in study.combinations()
    }
    columns = alike([experiment.columns() for experiment in study.experiments.values()])
    table = rows(study.axes, list(lines.values()), study.target_accuracy, columns)
    comparisons = tuple(note.beside(table) for note in study.notes)
    target = study.target_accuracy
    findings = tuple(claim.tested(study.axes, lines, target, columns, study.quick) for claim in study.claims)
    tables = [markdown_table(cells(table, columns)), *([comparison_table(comparisons)] if comparisons else [])]
    tables += [finding_table(findings)] if findings else []
    write_json(folder / "results.json", table)
    write_json(folder / "comparisons.json", [one.as_dict() for one in comparisons])
    write_json(folder / "findings.json", [one.as_dict() for one in findings])
    write_text(folder / "table.md", "\n".join(tables))
    shown = list(lines.values())
    drawn = {
        **{f"accuracy-over-{x}.png": accuracy_figure(shown, x, study.title) for x in OVER},
        **{
            f"accuracy-over-{name}.png": accuracy_figure(with_column(shown, name), name, study.title, column)
            for name, column in columns.items()
            if column.axis
        },
        "shares.png": shares_figure(shown, study.title),
    }
    if any(line.is_targeted for line in shown):
        drawn["attack-over-rounds.png"] = attack_figure(shown, study.title)
    write_figures(folder / "figures", drawn)
    say("\n" + "\n".join(tables))
    figures = _figures(folder)
    for path in [folder / "table.md", folder / "results.json", *figures]:
        say(f"  {path}")
    say(f"{len(todo)} runs in {time.perf_counter() - began:.0f} s, {jobs} at a time")
    return Reproduced(study.name, study.title, comparisons, cells(table, columns), figures, findings)


def _figures(folder: Path) -> Tuple[Path, ...]:
    """The figures of an experiment as a whole, without those of its runs."""
    return tuple(sorted([*folder.glob("*.png"), *folder.glob("figures/*.png")]))
