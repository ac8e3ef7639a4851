"""The commands that run one experiment: `run`, `attack poisoning`."""

import contextlib
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Sequence

from fl_simu.experiment import Experiment
from fl_simu.kernel import config
from fl_simu.kernel.ending import OutputLost
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.machine import keep_freed_memory
from fl_simu.kernel.shell import command_line
from fl_simu.loop import runs
from fl_simu.loop.plan import Plan, load_data, plan
from fl_simu.loop.progress import progress
from fl_simu.parts import KINDS
from fl_simu.results.closing_table import closing_table
from fl_simu.results.figures import require_matplotlib
from fl_simu.results.run_folder import RunFolder, new_folder

if TYPE_CHECKING:
    from fl_simu.data.datasets import Dataset
    from fl_simu.loop.closing import Ended
    from fl_simu.loop.coordinator import Observer

Say = Callable[[str], None]


def read_experiment(file: Path, changes: Sequence[str]) -> Experiment:
    """The experiment of a TOML file, after the `--set` assignments.

    Raises:
        UserError: the file or a change is wrong, the file holds no key at all, or it joins a cluster.
    """
    values = config.read(file)
    if not values:
        raise UserError(f"{file} holds no key: an experiment has at least one, as rounds = 10")
    backend = values.get("backend")
    address = backend.get("address") if isinstance(backend, dict) else None
    # A machine that joins a cluster runs the cluster's code. A file, possibly from others, must not decide that.
    if address and not any(change.startswith(("backend.address=", "backend=")) for change in changes):
        raise UserError(
            f"backend.address in {file} is not allowed: only --address on the command line joins a cluster"
        )
    values = config.override(values, changes)
    values.pop("log", None)
    return Experiment.parse(values, file.parent)


def read_loggers(file: Optional[Path], changes: Sequence[str], log: Sequence[str]) -> "List[Observer]":
    """The loggers of `--log`; without `--log`, those of the key `log` in the TOML file.

    Args:
        file: may be None.
        changes: the `--set` assignments.
        log: names and inline tables, as given.

    Raises:
        UserError: a logger is not known, has wrong arguments, or needs a package that is not installed.
    """
    from fl_simu.observers import loggers_of

    if log:
        given: Any = [config.part_table(one.strip(), "--log") for one in log]
    else:
        given = config.override(config.read(file) if file else {}, changes).get("log", [])
    return list(loggers_of(given))


def run_file(
    file: Optional[Path],
    changes: Sequence[str],
    data_dir: Optional[Path],
    out: Optional[Path],
    realtime: Optional[float],
    say: Say,
    log: Sequence[str] = (),
) -> None:
    """Run the experiment of a file from its first round to its last."""
    if file is None:
        raise UserError("FILE is missing: give a TOML file, or --resume with the folder of a run")
    _require_factor(realtime)
    experiment = read_experiment(file, changes)
    run_experiment(experiment, data_dir, out, say, realtime, read_loggers(file, changes, log))


def run_experiment(
    experiment: Experiment,
    data_dir: Optional[Path],
    out: Optional[Path],
    say: Say,
    realtime: Optional[float] = None,
    loggers: "Sequence[Observer]" = (),
) -> None:
    """Run an experiment from its first round to its last."""
    require_matplotlib()
    keep_freed_memory()
    planned = plan(experiment)
    dataset = load_data(planned, data_dir)
    start(planned, dataset, data_dir, out, say, realtime, loggers)


def start(
    planned: Plan,
    dataset: "Dataset",
    data_dir: Optional[Path],
    out: Optional[Path],
    say: Say,
    realtime: Optional[float] = None,
    loggers: "Sequence[Observer]" = (),
) -> "Ended":
    """Run a planned experiment in a new folder; print its results."""
    folder = new_folder(planned.experiment, out)
    observers = [*_announce(planned, dataset.source, folder, say), *loggers]
    with _resumable(folder, data_option(planned, data_dir), say):
        ended = runs.begin(planned, dataset, folder, observers, realtime)
    _close(ended, say)
    return ended


def go_on(
    resume: Path,
    file: Optional[Path],
    changes: Sequence[str],
    data_dir: Optional[Path],
    out: Optional[Path],
    realtime: Optional[float],
    say: Say,
    log: Sequence[str] = (),
) -> None:
    """Resume the run in a folder; FILE and changes may only raise its number of rounds."""
    if out is not None:
        raise UserError(f"--out {out} is not allowed with --resume: the run stays in its folder")
    _require_factor(realtime)
    require_matplotlib()
    keep_freed_memory()
    folder = RunFolder(resume)
    stored, loggers = runs.read_stored(folder), read_loggers(file, changes, log)
    wanted = read_experiment(file or folder.config, changes) if file or changes else stored
    planned = runs.plan_resumed(folder, wanted, stored)
    dataset = load_data(planned, data_dir)
    observers = [*_announce(planned, dataset.source, folder, say), *loggers]
    with _resumable(folder, data_option(planned, data_dir), say):
        ended = runs.go_on(planned, dataset, folder, observers, realtime, say)
    _close(ended, say)


def data_option(planned: Plan, data_dir: Optional[Path]) -> List[object]:
    """The option that finds the same data again: a shell that is opened later may lack $FL_SIMU_DATA."""
    root = str(data_dir or os.environ.get("FL_SIMU_DATA", ""))
    needed = planned.experiment.data.files and os.path.isdir(os.path.expanduser(root))
    return ["--data-dir", root] if needed else []


def _require_factor(realtime: Optional[float]) -> None:
    if realtime is not None and not 1e-6 <= realtime < math.inf:
        raise UserError(f"--realtime {realtime} is not allowed: a finite number, at least 1e-6")


class _resumable:
    """Says how to resume when Ctrl-C stops the run inside."""

    def __init__(self, folder: RunFolder, data_option: Sequence[object], say: Say) -> None:
        self.folder = folder
        self.data_option = data_option
        self.say = say

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Optional[type], *_: object) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt) and self.folder.config.exists():
            words = ["run", "--resume", self.folder.path, *self.data_option]
            # The signal may come from closing the terminal, which can then no longer show a line.
            with contextlib.suppress(OutputLost):
                self.say("\nstopped; resume with\n  " + command_line(*words))


def _announce(planned: Plan, source: str, folder: RunFolder, say: Say) -> "List[Observer]":
    """Describe the coming run; return the observers that show its progress."""
    experiment, how = planned.experiment, planned.experiment.backend.how()
    for file in dict.fromkeys(experiment.own_files().values()):
        say(f"importing {file.path} (SHA-256 {file.sha256[:16]}...)")
    threads = f"{experiment.threads} thread" + ("s" if experiment.threads > 1 else "")
    model, backend, data = (
        KINDS[table].name_of(getattr(experiment, table)) for table in ("model", "backend", "data")
    )
    backend += f" of {how}" if how else ""
    say(
        f"{experiment.name}: {experiment.ues} UEs, {experiment.rounds} rounds, {model} on backend {backend} "
        f"({threads}), data: {data} ({source}), in {folder.path}"
    )
    return [progress(experiment.rounds, experiment.uploads, say)]


def _close(ended: "Ended", say: Say) -> None:
    say("\n" + closing_table(ended.summary))
    say("\nfigures and records")
    for path in [*ended.figures, ended.folder.log.path, ended.folder.summary]:
        say(f"  {path}")
