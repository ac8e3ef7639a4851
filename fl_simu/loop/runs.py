"""A run in its folder, from its first round or its newest checkpoint to its last round."""

import contextlib
from typing import Callable, List, Optional, Sequence

from fl_simu.data.datasets import Dataset
from fl_simu.experiment import Experiment
from fl_simu.kernel import config
from fl_simu.kernel.errors import UserError, shown
from fl_simu.loop.assemble import assemble
from fl_simu.loop.closing import Ended, conclude, keep_own_files, without_address
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.loop.identity import differing, identity
from fl_simu.loop.observing import observed
from fl_simu.loop.plan import Plan, plan
from fl_simu.loop.resuming import Keeper, put_into, read
from fl_simu.loop.state import Moment
from fl_simu.results.checkpoints import Checkpoint, Identity
from fl_simu.results.files import alone_in, make_folder, refuse_links, told_in_one_line, write_text
from fl_simu.results.run_folder import RunFolder

Say = Callable[[str], None]


def begin(
    planned: Plan,
    dataset: Dataset,
    folder: RunFolder,
    observers: Sequence[Observer] = (),
    realtime: Optional[float] = None,
) -> Ended:
    """Run an experiment from its first round to its last.

    Raises:
        UserError: there are too few data, or the folder cannot be written to or is in use.
    """
    return _run(planned, dataset, folder, observers, realtime)


def read_stored(folder: RunFolder) -> Experiment:
    """The experiment of a run's folder.

    Raises:
        UserError: the folder contains no run.
    """
    with told_in_one_line(folder.config, "read"):
        there = folder.config.exists()
    if not there:
        raise UserError(f"--resume {folder.path} is not allowed: no run is there (it has no config.toml)")
    refuse_links(folder.path)
    return without_address(folder.experiment())


def plan_resumed(folder: RunFolder, wanted: Experiment, stored: Experiment) -> Plan:
    """The plan of a resumed run. It may differ in the number of rounds, and in nothing else.

    Args:
        folder: the run's folder.
        wanted: the experiment that the user asks for now.
        stored: the experiment in the folder.

    Raises:
        UserError: the two differ in more than the rounds.
    """
    planned = plan(wanted)
    here, there = (one.without_targets().to_plain() for one in (without_address(planned.experiment), stored))
    keys = [key for key in config.differences(here, there) if key not in ("rounds", "checkpoint")]
    if keys:
        given, kept = shown(here.get(keys[0])), shown(there.get(keys[0]))
        raise UserError(f"{keys[0]} = {given} is not allowed with --resume {folder.path}: that run has {kept}")
    return planned


def go_on(
    planned: Plan,
    dataset: Dataset,
    folder: RunFolder,
    observers: Sequence[Observer] = (),
    realtime: Optional[float] = None,
    say: Say = print,
) -> Ended:
    """Resume a run from its newest complete checkpoint, or from its start if it has none.

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
    """Run an experiment in its folder; from a checkpoint if `resumed` is given, which prints notices."""
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
            # Nothing is written until everything is checked, so a mistake leaves no folder behind.
            make_folder(folder.path)
            stack.enter_context(alone_in(folder.path))
        folder.remove_leftovers()
        write_text(folder.config, without_address(planned.experiment).to_toml())
        keep_own_files(planned.experiment, folder)
        folder.log.truncate(coordinator.version)
        with observed(observers, planned.experiment, coordinator.version, folder.path) as summaries:
            coordinator.run()
            ended = conclude(planned, dataset, folder, coordinator)
            summaries.append(ended.summary)
        return ended


def _restore(coordinator: Coordinator, own: Identity, folder: RunFolder, rounds: int, say: Say) -> None:
    """Put a coordinator into the state of the newest complete checkpoint, if there is one."""
    found: List[Moment] = []
    checkpoint, passed_over = folder.checkpoints.newest(
        lambda one: found.append(_checked(coordinator, one, own, folder))
    )
    for line in passed_over:
        say(line)
    if checkpoint is None:
        say(f"no complete checkpoint in {folder.path}: starting from the first round")
    elif checkpoint.round > rounds:
        raise UserError(f"rounds = {rounds} is not allowed: the run has {checkpoint.round} already")
    else:
        say(f"resuming after round {checkpoint.round}")
        put_into(found[-1], coordinator)


def _checked(coordinator: Coordinator, checkpoint: Checkpoint, own: Identity, folder: RunFolder) -> Moment:
    """Check a checkpoint and return its content.

    Raises:
        UserError: it is of another run, or the records are not those that precede it.
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
        # A part has refused its stored state: this is damage, not a mistake of the user.
        raise ValueError(str(error)) from None
