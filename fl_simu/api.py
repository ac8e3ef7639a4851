"""fl_simu from Python: run an experiment, resume a run, load the results of a run.

Nothing is printed or written unless you ask for it. A run restores the state of the process: torch's threads and
switches, its random numbers, the environment. (Real PySyft cannot be undone: if backend `syft` runs on it, torch
stays hooked.)
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, List, Mapping, Optional, Sequence, Union

from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.parameters import Params
from fl_simu.kernel.process import process_kept
from fl_simu.loop import runs
from fl_simu.loop.assemble import assemble
from fl_simu.loop.closing import evaluated_of, summary_of, write_down
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.loop.observing import observed
from fl_simu.loop.plan import Plan, load_data, plan
from fl_simu.loop.progress import progress as progress_of
from fl_simu.results.columns import columns_of
from fl_simu.results.evaluated import Evaluated
from fl_simu.results.frames import figure_of, import_pandas, row
from fl_simu.results.records import RoundRecord, Summary
from fl_simu.results.run_folder import RunFolder, new_folder
from fl_simu.results.targets import Reached, reached, require_targets

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

PathLike = Union[str, Path]


@dataclass(frozen=True, eq=False)
class Run:
    """The results of a run.

    Args:
        config: the complete experiment, as TOML values.
        records: one per round.
        summary: totals and final values; see docs/run-folder.md.
        model: the final global model, a state_dict.
        folder: the run folder; None if the run was not written.
        evaluated: what the evaluation of the final model gives in addition to the last record. `confusion` counts
            the test samples by true class (rows) and predicted class (columns). `ues` exists with a meter that
            needs it, such as `fairness`, and has `samples` and `accuracies` of each UE.
    """

    config: Mapping[str, Any]
    records: Sequence[RoundRecord]
    summary: Summary
    model: Params
    folder: Optional[Path] = None
    evaluated: Evaluated = field(default_factory=Evaluated, repr=False)
    _planned: Optional[Plan] = field(default=None, repr=False)

    @property
    def experiment(self) -> Experiment:
        """The experiment. If the run was loaded, this imports the files that its config names."""
        return self._planned.experiment if self._planned else Experiment.parse(self.config, self.folder)

    def reached(self, accuracy: float) -> Optional[Reached]:
        """The cost of reaching a test accuracy; None if no round reaches it.

        The result has `round`, `time_s`, `uplink_bits`, `downlink_bits`, and `meters`: the totals up to that round
        of the meter columns that are an axis, such as "energy_j".

        Args:
            accuracy: above 0, at most 1.
        """
        require_targets("accuracy", [accuracy])
        return reached(self.records, accuracy, columns_of(self.summary.facts))

    def frame(self) -> "DataFrame":
        """The records as a pandas DataFrame, one row per round.

        Columns: round, time_s, accuracy, loss (NaN if the round was not evaluated), uplink_bits and downlink_bits
        of the round [bit], full, base and rejected (numbers of uploads), wall_time_s, and the columns of meters.
        """
        pandas = import_pandas()
        return pandas.DataFrame([row(record) for record in self.records]).set_index("round", drop=False)

    def plot(self, y: str = "accuracy", over: str = "round", style: str = "screen") -> "Figure":
        """A matplotlib figure of one column of `frame` over another.

        Args:
            y: the column on the y axis.
            over: the column on the x axis. Bits, joules and the like are summed over the rounds.
            style: "screen", 8 inches wide with the name of the run as title; or "paper", the style of
                `fl.paper_style`.

        Raises:
            UserError: there is no such column or style.
        """
        return figure_of(self.records, self.summary, y, over, style)

    def save(self, folder: PathLike) -> "Run":
        """Write the run to a folder, as the command line does: config, records, model, summary, figures.

        Raises:
            UserError: the folder is not empty or cannot be written to, or a part of the experiment comes from no
                file or module that the config can name.
        """
        if self._planned is None:
            raise UserError(f"save({str(folder)!r}) is not allowed: this run lies in {self.folder} already")
        place = new_folder(self.experiment, Path(folder))
        write_down(self._planned.experiment, place, self.records, self.model, self.summary, self.evaluated)
        return load(folder)


class _Records(Observer):
    def __init__(self) -> None:
        self.records: List[RoundRecord] = []

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        self.records.append(record)


def run(
    experiment: Experiment,
    folder: Optional[PathLike] = None,
    observers: Sequence[Observer] = (),
    data_dir: Optional[PathLike] = None,
    progress: bool = False,
) -> Run:
    """Run an experiment from its first round to its last.

    Args:
        experiment: the experiment to run.
        folder: folder for records, checkpoints, model, summary and figures, as on the command line. Nothing is
            written if None.
        observers: they are called when the run begins, after each round, and when it ends. An observer may end the
            run with `coordinator.stop()`. Those of `fl.observers` log the run to TensorBoard, Weights & Biases or
            MLflow.
        data_dir: folder to search for data sets first.
        progress: whether to print progress: a bar on a terminal, otherwise one line per round.

    Raises:
        UserError: a value is not allowed, parts do not fit together, data are missing, or the folder cannot be
            written to. The message is one line.

    Examples:
        >>> import fl_simu as fl
        >>> mine = fl.Experiment(rounds=2, ues=3, data="digits", model="logistic_regression", backend="torch")
        >>> [record.round for record in fl.run(mine).records]
        [1, 2]
    """
    with process_kept():
        planned = plan(experiment)
        dataset = load_data(planned, Path(data_dir) if data_dir else None)
        watchers = [*observers, *_shown(planned, progress)]
        if folder is not None:
            runs.begin(planned, dataset, new_folder(planned.experiment, Path(folder)), watchers)
            return load(folder)
        collector = _Records()
        try:
            coordinator = assemble(planned, dataset, [collector, *watchers])
            with observed(watchers, planned.experiment) as summaries:
                coordinator.run()
                summary = summary_of(planned, dataset, collector.records, coordinator)
                summaries.append(summary)
        finally:
            planned.backend.close()
        plain = planned.experiment.to_plain(nameless=True)
        told = evaluated_of(dataset, collector.records, coordinator)
        return Run(plain, collector.records, summary, coordinator.model, None, told, planned)


def resume(
    folder: PathLike,
    rounds: Optional[int] = None,
    observers: Sequence[Observer] = (),
    data_dir: Optional[PathLike] = None,
    progress: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Run:
    """Resume the run in a folder after its last finished round.

    Args:
        folder: folder of a run that was stopped or has ended.
        rounds: total number of rounds; as planned if None.
        observers, data_dir, progress: as for `run`.
        say: called with a line that says from which round the run resumes.

    Raises:
        UserError: the folder contains no run, or a run of another experiment, fl_simu, torch or data.
    """
    with process_kept():
        place = RunFolder(Path(folder))
        stored = runs.read_stored(place)
        planned = runs.plan_resumed(place, stored if rounds is None else stored.with_(rounds=rounds), stored)
        dataset = load_data(planned, Path(data_dir) if data_dir else None)
        runs.go_on(planned, dataset, place, [*observers, *_shown(planned, progress)], say=say)
    return load(folder)


def load(folder: PathLike) -> Run:
    """Load a finished run from its folder. This imports nothing that the config names.

    Raises:
        UserError: the folder contains no run that has ended, or a file in it is damaged.
    """
    place = RunFolder(Path(folder))
    left = place.read()
    return Run(left.config, left.records, left.summary, left.model, place.path, left.evaluated)


def _shown(planned: Plan, progress: bool) -> List[Observer]:
    return [progress_of(planned.experiment.rounds, planned.experiment.uploads, print)] if progress else []
