"""The folder of a run: the places of its files, and the place of a new folder."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional, Sequence

from fl_simu.experiment import Experiment
from fl_simu.kernel import config
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.parameters import Params, from_arrays
from fl_simu.results.checkpoints import Checkpoints, read_tensors
from fl_simu.results.evaluated import Evaluated, read_evaluated
from fl_simu.results.files import leftovers, refuse_links, remove_leftovers, told_in_one_line
from fl_simu.results.records import RoundLog, RoundRecord, Summary


class Left(NamedTuple):
    """The content of a run's folder.

    Fields:
        config: the complete experiment as TOML values.
        records: one per round.
        summary: of the records.
        model: the final global model.
        evaluated: its evaluation in addition to the last record.
    """

    config: Mapping[str, Any]
    records: Sequence[RoundRecord]
    summary: Summary
    model: Params
    evaluated: Evaluated


@dataclass(frozen=True)
class RunFolder:
    """The places of the files in a run's folder."""

    path: Path

    @property
    def config(self) -> Path:
        """The complete experiment; running it again gives the same model."""
        return self.path / "config.toml"

    @property
    def summary(self) -> Path:
        """The results of the run; exists once the run has ended."""
        return self.path / "summary.json"

    @property
    def model(self) -> Path:
        """The final global model."""
        return self.path / "model.safetensors"

    @property
    def confusion(self) -> Path:
        """Numbers of test samples by true class and by the final model's predicted class."""
        return self.path / "confusion.csv"

    @property
    def ue_accuracy(self) -> Path:
        """The accuracy of the final model on each UE's own samples."""
        return self.path / "ue_accuracy.csv"

    @property
    def log(self) -> RoundLog:
        """One record per round."""
        return RoundLog(self.path / "rounds.jsonl")

    @property
    def checkpoints(self) -> Checkpoints:
        """The checkpoints from which a killed run resumes."""
        return Checkpoints(self.path / "checkpoint")

    @property
    def own_files(self) -> Path:
        """The folder with copies of the user files that parts of the experiment come from."""
        return self.path / "own"

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.path / "figures"

    def experiment(self) -> Experiment:
        """The experiment in `config.toml`.

        Raises:
            UserError: the file cannot be read, or is not an experiment.
        """
        try:
            return Experiment.read(self.config)
        except UserError as error:
            # An error in a config's content does not name the file, which its author knows: add the name here.
            told = str(error)
            raise UserError(told if str(self.config) in told else f"{self.config}: {told}") from None

    def read(self) -> "Left":
        """The content of the folder after the run has ended. Nothing that its config names is imported.

        Raises:
            UserError: a file is missing or damaged, or is a link.
        """
        refuse_links(self.path)
        summary = Summary.read(self.summary)
        model, evaluated = from_arrays(read_tensors(self.model)), read_evaluated(self.confusion, self.ue_accuracy)
        return Left(config.read(self.config), self.log.read(), summary, model, evaluated)

    def ended(self) -> bool:
        """Whether its run has ended and all its records are there."""
        try:
            return 0 < Summary.read(self.summary).rounds == len(self.log.read())
        except UserError:
            return False

    def remove_leftovers(self) -> None:
        """Remove files that a killed process left half written."""
        remove_leftovers([self.path, self.checkpoints.folder, self.figures])


def new_folder(experiment: Experiment, out: Optional[Path]) -> RunFolder:
    """The folder of a new run: `out`, or runs/<name>-<time>. It is created when the run begins.

    Raises:
        UserError: it is not empty, or cannot be read.
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
