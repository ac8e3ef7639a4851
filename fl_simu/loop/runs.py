"""One run and its folder: from a checked experiment to records, checkpoints, model, summary and figures."""

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

from fl_simu.data.datasets import Dataset
from fl_simu.experiment import Experiment
from fl_simu.kernel import config
from fl_simu.kernel.errors import UserError, shown
from fl_simu.kernel.installation import stack, versions
from fl_simu.kernel.parameters import Params, sha256, to_arrays
from fl_simu.loop.assemble import Plan, assemble, plan
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.loop.identity import differing, identity
from fl_simu.loop.resuming import Keeper, put_into, read
from fl_simu.loop.state import Moment
from fl_simu.parts import KINDS
from fl_simu.results.checkpoints import Checkpoint, Checkpoints, Identity, write_tensors
from fl_simu.results.columns import totals
from fl_simu.results.files import (
    alone_in,
    leftovers,
    make_folder,
    refuse_links,
    remove_leftovers,
    told_in_one_line,
    write_text,
)
from fl_simu.results.plots import draw_figures
from fl_simu.results.records import RoundLog, RoundRecord, Summary, summarise

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
    def own_files(self) -> Path:
        """The folder of the texts of files that parts of the experiment come from."""
        return self.path / "own"

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.path / "figures"

    def experiment(self) -> Experiment:
        """The experiment in `config.toml`.

        Raises:
            UserError: the file cannot be read, or holds none.
        """
        try:
            return Experiment.read(self.config)
        except UserError as error:
            # What is wrong inside a file is told without its name, which the user of an own file knows.
            told = str(error)
            raise UserError(told if str(self.config) in told else f"{self.config}: {told}") from None

    def ended(self) -> bool:
        """Whether its run has ended, and its records are all there."""
        try:
            return 0 < Summary.read(self.summary).rounds == len(self.log.read())
        except UserError:
            return False

    def remove_leftovers(self) -> None:
        """Remove what a killed process left half written."""
        remove_leftovers([self.path, self.checkpoints.folder, self.figures])


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
            filled = path.is_dir() and bool(set(path.iterdir()) - set(leftovers([path])))
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
    return _run(planned, dataset, folder, observers, realtime)


def read_stored(folder: RunFolder) -> Experiment:
    """The experiment of a run's folder.

    Raises:
        UserError: the folder holds no run.
    """
    with told_in_one_line(folder.config, "read"):
        there = folder.config.exists()
    if not there:
        raise UserError(f"--resume {folder.path} is not allowed: no run is there (it has no config.toml)")
    refuse_links(folder.path)
    return _without_address(folder.experiment())


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
    here, there = _without_address(planned.experiment).to_plain(), stored.to_plain()
    keys = [key for key in config.differences(here, there) if key not in ("rounds", "checkpoint")]
    if keys:
        given, kept = shown(here.get(keys[0])), shown(there.get(keys[0]))
        raise UserError(f"{keys[0]} = {given} is not allowed with --resume {folder.path}: that run has {kept}")
    return planned


def _without_address(experiment: Experiment) -> Experiment:
    """The experiment without the cluster that it ran on, which decides nothing, and which no folder may name."""
    return experiment.with_(backend=experiment.backend.anywhere())


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
    return _run(planned, dataset, folder, observers, realtime, say)


def _run(
    planned: Plan,
    dataset: Dataset,
    folder: RunFolder,
    observers: Sequence[Observer],
    realtime: Optional[float],
    resumed: Optional[Say] = None,
) -> Ended:
    """Run an experiment in its folder; from its checkpoint where `resumed` says so, line by line."""
    with contextlib.ExitStack() as stack:
        stack.callback(planned.backend.close)
        if resumed:
            refuse_links(folder.path)
            stack.enter_context(alone_in(folder.path))
        own = identity(planned, dataset)
        keeper = Keeper(folder.log, folder.checkpoints, own, planned.experiment.checkpoint.every)
        coordinator = assemble(planned, dataset, [keeper, *observers], realtime)
        if resumed:
            _restore(coordinator, own, folder, planned.experiment.rounds, resumed)
        else:
            # Nothing is written before everything fits together: a mistake leaves no folder behind.
            make_folder(folder.path)
            stack.enter_context(alone_in(folder.path))
        folder.remove_leftovers()
        write_text(folder.config, _without_address(planned.experiment).to_toml())
        _keep_own_files(planned.experiment, folder)
        folder.log.truncate(coordinator.version)
        coordinator.run()
        return _end(planned, dataset, folder, coordinator)


def _keep_own_files(experiment: Experiment, folder: RunFolder) -> None:
    """Write what files of the user's said when they were imported, each text once."""
    for file in set(experiment.own_files().values()):
        make_folder(folder.own_files)
        write_text(folder.own_files / f"{file.sha256[:8]}-{file.path.name}", file.text)


def _restore(coordinator: Coordinator, own: Identity, folder: RunFolder, rounds: int, say: Say) -> None:
    """Put a coordinator where the newest checkpoint was taken that is whole, if there is one."""
    found: List[Moment] = []
    checkpoint, passed_over = folder.checkpoints.newest(
        lambda one: found.append(_checked(coordinator, one, own, folder))
    )
    for line in passed_over:
        say(line)
    if checkpoint is None:
        say(f"no whole checkpoint in {folder.path}: starting from the first round")
    elif checkpoint.round > rounds:
        raise UserError(f"rounds = {rounds} is not allowed: the run has {checkpoint.round} already")
    else:
        say(f"going on after round {checkpoint.round}")
        put_into(found[-1], coordinator)


def _checked(coordinator: Coordinator, checkpoint: Checkpoint, own: Identity, folder: RunFolder) -> Moment:
    """What a checkpoint tells.

    Raises:
        UserError: it is of another run, or the records are not those before it.
        ValueError: it is damaged.
    """
    different = differing(own, checkpoint.identity)
    if different:
        raise UserError(
            f"--resume {folder.path} is not allowed: its checkpoint was made with {different}; "
            f"run {folder.config} anew"
        )
    records = folder.log.read()[: checkpoint.round]
    if len(records) < checkpoint.round or folder.log.digest(checkpoint.round) != checkpoint.records_sha256:
        raise UserError(
            f"{folder.log.path} does not hold the records before the checkpoint of round {checkpoint.round}: put "
            f"them back, or run {folder.config} anew"
        )
    heard = {outcome.ue for record in records for outcome in record.ues if outcome.accepted != "none"}
    try:
        return read(coordinator, checkpoint, heard)
    except UserError as error:
        # A part refused what it was given: that is damage here, and no mistake of the user.
        raise ValueError(str(error)) from None


def _end(planned: Plan, dataset: Dataset, folder: RunFolder, coordinator: Coordinator) -> Ended:
    records = folder.log.read()
    summary = summary_of(planned, dataset, records, coordinator)
    return Ended(folder, summary, _conclude(planned.experiment, folder, records, coordinator.model, summary))


def summary_of(
    planned: Plan, dataset: Dataset, records: Sequence[RoundRecord], coordinator: Coordinator
) -> Summary:
    """What a run came to."""
    experiment = planned.experiment
    return summarise(
        records,
        experiment.name,
        KINDS["backend"].name_of(experiment.backend, nameless=True),
        stack(),
        experiment.seed,
        experiment.ues,
        sha256(coordinator.model),
        coordinator.state.wall_s,
        data=dataset.name,
        data_source=dataset.source,
        threads=experiment.threads,
        versions=versions(),
        **_meters(experiment, records),
    )


def _meters(experiment: Experiment, records: Sequence[RoundRecord]) -> Dict[str, Any]:
    """What the meters of a run come to; nothing where it has none."""
    found = totals(records, experiment.columns())
    return {"meters": found} if found else {}


def write_down(
    experiment: Experiment, folder: RunFolder, records: Sequence[RoundRecord], model: Params, summary: Summary
) -> None:
    """Write a run that has ended, and that nobody has written, into a folder of its own."""
    text = _without_address(experiment).to_toml()
    make_folder(folder.path)
    with alone_in(folder.path):
        write_text(folder.config, text)
        _keep_own_files(experiment, folder)
        for record in records:
            folder.log.append(record)
        _conclude(experiment, folder, records, model, summary)


def _conclude(
    experiment: Experiment, folder: RunFolder, records: Sequence[RoundRecord], model: Params, summary: Summary
) -> List[Path]:
    """Write what is left of a run beside its records; the summary last, by which it is known to have ended."""
    write_tensors(folder.model, to_arrays(model))
    thresholds_s = experiment.protocol.thresholds_s()
    figures = draw_figures(records, folder.figures, thresholds_s, experiment.name, experiment.columns())
    summary.write(folder.summary)
    return figures
