"""fl_simu from Python: run an experiment, go on with one, look at what one left behind.

Nothing is printed and nothing is written unless it is asked for, and the process is left as it was found: torch's
threads and switches, its random numbers, the environment. (Real PySyft cannot be undone: where backend `syft` runs
on it, torch stays hooked.)
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
    """What a run came to.

    Args:
        config: the experiment as TOML has it, complete.
        records: one a round.
        summary: what they come to; see docs/run-folder.md.
        model: the final global model, a state_dict.
        folder: where it all lies; None of a run that was not written.
        evaluated: what the evaluation of the final model tells beside the last record: `confusion`, the test
            samples by true class (rows) and predicted class (columns), and `ues`, with a meter that asks for it,
            as `fairness`: `samples` and `accuracies` of each UE.
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
        """The experiment. Of a run that was loaded, files that its config names are imported now."""
        return self._planned.experiment if self._planned else Experiment.parse(self.config, self.folder)

    def reached(self, accuracy: float) -> Optional[Reached]:
        """What it took to reach a test accuracy: `round`, `time_s`, `uplink_bits`, `downlink_bits`, and `meters`
        with what those that are an axis had come to, as "energy_j"; None where no round is as good.

        Args:
            accuracy: above 0, at most 1.
        """
        require_targets("accuracy", [accuracy])
        return reached(self.records, accuracy, columns_of(self.summary.facts))

    def frame(self) -> "DataFrame":
        """The records as a pandas DataFrame, a row a round.

        Columns: round, time_s, accuracy, loss (NaN where it was not evaluated), uplink_bits and downlink_bits of
        the round [bit], full, base and rejected (numbers of uploads), wall_time_s, and the columns of meters.
        """
        pandas = import_pandas()
        return pandas.DataFrame([row(record) for record in self.records]).set_index("round", drop=False)

    def plot(self, y: str = "accuracy", over: str = "round", style: str = "screen") -> "Figure":
        """A matplotlib figure of one column of `frame` over another.

        Args:
            y: the column that is drawn.
            over: the column on the x axis. Bits, joules and the like are added up from round to round.
            style: "screen", 8 inches wide with the name of the run above; or "paper", as `fl.paper_style` has it.

        Raises:
            UserError: there is no such column or style.
        """
        return figure_of(self.records, self.summary, y, over, style)

    def save(self, folder: PathLike) -> "Run":
        """Write the run to a folder, as the command line does: config, records, model, summary, figures.

        Raises:
            UserError: the folder is not empty, or cannot be written to; or the config names something that no file
                or module holds.
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
        experiment: what to run.
        folder: where records, checkpoints, model, summary and figures go, as of the command line; nothing is
            written if None.
        observers: told of its beginning, each round and its end; one may end the run by `coordinator.stop()`.
            Those of `fl.observers` write it down for TensorBoard, Weights & Biases or MLflow.
        data_dir: folder to search for data sets first.
        progress: whether a bar (on a terminal) or a line a round is printed.

    Raises:
        UserError: a value that is not allowed, parts that do not fit each other, data that are not here, or a
            folder that cannot be written to; one line.

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
    """Go on with the run in a folder, after the last round that was finished.

    Args:
        folder: of a run that was stopped or has ended.
        rounds: how many it shall have in all; as many as planned if None.
        observers, data_dir, progress: as for `run`.
        say: is told from where the run goes on.

    Raises:
        UserError: the folder holds no run, or one of another experiment, fl_simu, torch or data.
    """
    with process_kept():
        place = RunFolder(Path(folder))
        stored = runs.read_stored(place)
        planned = runs.plan_resumed(place, stored if rounds is None else stored.with_(rounds=rounds), stored)
        dataset = load_data(planned, Path(data_dir) if data_dir else None)
        runs.go_on(planned, dataset, place, [*observers, *_shown(planned, progress)], say=say)
    return load(folder)


def load(folder: PathLike) -> Run:
    """What a run left in a folder. Nothing that its config names is imported.

    Raises:
        UserError: the folder holds no run that has ended, or a file in it is damaged.
    """
    place = RunFolder(Path(folder))
    left = place.read()
    return Run(left.config, left.records, left.summary, left.model, place.path, left.evaluated)


def _shown(planned: Plan, progress: bool) -> List[Observer]:
    return [progress_of(planned.experiment.rounds, planned.experiment.uploads, print)] if progress else []
