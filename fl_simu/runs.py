"""One run and its folder: from a checked experiment to records, checkpoints, model, summary and figures."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, List, Optional, Sequence

from fl_simu import config
from fl_simu.assemble import Plan, assemble, digest, plan
from fl_simu.coordinator import Coordinator, Observer
from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import UserError, shown
from fl_simu.kernel.installation import stack, versions
from fl_simu.kernel.parameters import sha256, to_arrays
from fl_simu.parts import KINDS
from fl_simu.results.checkpoints import Checkpoint, Checkpoints, write_tensors
from fl_simu.results.files import alone_in, make_folder, told_in_one_line, write_text
from fl_simu.results.plots import draw_figures
from fl_simu.results.records import RoundLog, Summary, summarise
from fl_simu.resume import Keeper, restore
from fl_simu.ue.datasets import Dataset

Say = Callable[[str], None]


@dataclass(frozen=True)
class RunFolder:
    """Where things are in a run's folder."""

    path: Path

    @property
    def config(self) -> Path:
        """The complete experiment; running it again gives the same model."""
        return self.path / "config.toml"

    @property
    def summary(self) -> Path:
        """What the run came to; there once the run has ended."""
        return self.path / "summary.json"

    @property
    def model(self) -> Path:
        """The final global model."""
        return self.path / "model.safetensors"

    @property
    def log(self) -> RoundLog:
        """One record a round."""
        return RoundLog(self.path / "rounds.jsonl")

    @property
    def checkpoints(self) -> Checkpoints:
        """What a killed run goes on from."""
        return Checkpoints(self.path / "checkpoint")

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.path / "figures"


@dataclass(frozen=True)
class Ended:
    """A run that has ended: its folder, its summary, the paths of its figures."""

    folder: RunFolder
    summary: Summary
    figures: List[Path]


def new_folder(experiment: Experiment, out: Optional[Path]) -> RunFolder:
    """The folder of a new run: `out`, or runs/<name>-<time>. It is made when the run begins.

    Raises:
        UserError: it holds something already, or cannot be looked into.
    """
    if out is None:
        path = _unused(Path("runs"), "{}-{}".format(experiment.name, time.strftime("%Y%m%d-%H%M%S")))
    else:
        path = out
        with told_in_one_line(path, "read"):
            filled = path.is_dir() and any(path.iterdir())
        if filled:
            raise UserError(
                f"--out {path} is not allowed: it is not empty; to go on with the run in it, say --resume {path}"
            )
    return RunFolder(path)


def _unused(parent: Path, name: str) -> Path:
    taken, path = 1, parent / name
    while path.exists():
        taken += 1
        path = parent / f"{name}-{taken}"
    return path


def begin(
    planned: Plan,
    dataset: Dataset,
    folder: RunFolder,
    observers: Sequence[Observer] = (),
    realtime: Optional[float] = None,
) -> Ended:
    """Run an experiment from its first round to its last.

    Raises:
        UserError: the data do not suffice, or the folder cannot be written to or is in use.
    """
    return _run(planned, dataset, folder, None, observers, realtime)


def read_stored(folder: RunFolder) -> Experiment:
    """The experiment of a run's folder.

    Raises:
        UserError: the folder holds no run.
    """
    with told_in_one_line(folder.config, "read"):
        there = folder.config.exists()
    if not there:
        raise UserError(f"--resume {folder.path} is not allowed: no run is there (it has no config.toml)")
    return Experiment.read(folder.config)


def plan_resumed(folder: RunFolder, wanted: Experiment, stored: Experiment) -> Plan:
    """The plan of a run that goes on. Another number of rounds is allowed, anything else must be the same.

    Args:
        folder: the run's.
        wanted: what the user asks for now.
        stored: what is in the folder.

    Raises:
        UserError: the two differ in more than the rounds.
    """
    planned = plan(wanted)
    here, there = planned.experiment.to_plain(), stored.to_plain()
    differing = [key for key in config.differences(here, there) if key != "rounds"]
    if differing:
        (key, *_), resume = differing, f"--resume {folder.path}"
        given, kept = shown(here.get(key)), shown(there.get(key))
        raise UserError(f"{key} = {given} is not allowed with {resume}: that run has {kept}")
    return planned


def go_on(
    planned: Plan,
    dataset: Dataset,
    folder: RunFolder,
    observers: Sequence[Observer] = (),
    realtime: Optional[float] = None,
    say: Say = print,
) -> Ended:
    """Go on with a run from its newest whole checkpoint, or from its start if it has none.

    Raises:
        UserError: the checkpoint is of another experiment or another torch, or has more rounds than wanted; or the
            folder is in use.
    """
    checkpoint, passed_over = folder.checkpoints.newest()
    for line in passed_over:
        say(line)
    if checkpoint is None:
        say(f"no whole checkpoint in {folder.path}: starting from the first round")
    elif checkpoint.round > planned.experiment.rounds:
        raise UserError(
            f"rounds = {planned.experiment.rounds} is not allowed: the run has {checkpoint.round} already"
        )
    else:
        say(f"going on after round {checkpoint.round}")
    return _run(planned, dataset, folder, checkpoint, observers, realtime)


def _run(
    planned: Plan,
    dataset: Dataset,
    folder: RunFolder,
    checkpoint: Optional[Checkpoint],
    observers: Sequence[Observer],
    realtime: Optional[float],
) -> Ended:
    identity = "experiment {} on torch {}".format(digest(planned.experiment)[:12], versions()["torch"])
    keeper = Keeper(folder.log, folder.checkpoints, identity)
    if checkpoint and checkpoint.identity != identity:
        raise UserError(
            f"--resume {folder.path} is not allowed: its checkpoint is of {checkpoint.identity}, "
            f"and this is {identity}"
        )
    try:
        coordinator = assemble(planned, dataset, [keeper, *observers], realtime)
        if checkpoint:
            restore(coordinator, checkpoint)
        # Nothing is written before everything fits together: a mistake leaves no folder behind.
        make_folder(folder.path)
        with alone_in(folder.path):
            write_text(folder.config, planned.experiment.to_toml())
            folder.log.truncate(checkpoint.round if checkpoint else 0)
            coordinator.run()
            return _end(planned, dataset, folder, coordinator)
    finally:
        planned.backend.close()


def _end(planned: Plan, dataset: Dataset, folder: RunFolder, coordinator: Coordinator) -> Ended:
    """Write what is left of a run beside its records; the summary last, by which it is known to have ended."""
    experiment, records = planned.experiment, folder.log.read()
    write_tensors(folder.model, to_arrays(coordinator.model))
    figures = draw_figures(records, folder.figures, experiment.protocol.thresholds_s(), experiment.name)
    summary = summarise(
        records,
        experiment.name,
        KINDS["backend"].name_of(experiment.backend),
        stack(),
        experiment.seed,
        experiment.ues,
        sha256(coordinator.model),
        coordinator.wall_s,
        data=dataset.name,
        data_source=dataset.source,
        threads=experiment.threads,
        versions=versions(),
    )
    summary.write(folder.summary)
    return Ended(folder, summary, figures)
