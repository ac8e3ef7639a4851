"""The base class of the loggers."""

import contextlib
import math
from pathlib import Path
from typing import Any, ClassVar, Dict, Iterator, Mapping, Optional

from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import UserError, brief, one_line
from fl_simu.kernel.packages import install_command, installed
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.results.frames import row
from fl_simu.results.records import RoundRecord, Summary

Numbers = Mapping[str, float]


class Logger(Observer):
    """Logs a run with the package of another program: its config, the numbers of each round, its results.

    The numbers of a round have the names of the columns of `Run.frame`; the step is the number of the round.
    Numbers that were not evaluated are omitted.
    """

    # The name by which the package is imported.
    package: ClassVar[str]

    def __post_init__(self) -> None:
        # The object that the package opened; None before a run and after it.
        self.opened: Any = None
        if not installed(self.package):
            raise UserError(
                f"logger {type(self).__name__} needs {self.package}, which is not installed: "
                f"`{install_command(self.package)}`"
            )

    def open(self, experiment: Experiment, rounds: int, folder: Optional[Path]) -> None:
        """Begin, as for `Observer.began`."""
        raise NotImplementedError

    def write(self, step: int, numbers: Numbers) -> None:
        """Log the finite numbers of a round, by name."""
        raise NotImplementedError

    def close(self, summary: Optional[Summary]) -> None:
        """End, as for `Observer.ended`. The logger may not have opened anything."""
        raise NotImplementedError

    def began(self, experiment: Experiment, rounds: int, folder: Optional[Path]) -> None:
        with self._told():
            self.open(experiment, rounds, folder)

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        numbers = {name: value for name, value in row(record).items() if name != "round"}
        with self._told():
            self.write(record.round, {name: one for name, one in numbers.items() if math.isfinite(one)})

    def ended(self, summary: Optional[Summary]) -> None:
        if summary is None:
            # The reason why the run was interrupted matters more than an error while closing the log.
            with contextlib.suppress(Exception):
                self.close(None)
        else:
            with self._told():
                self.close(summary)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Report an error of the package in one line."""
        try:
            yield
        except Exception as error:
            told = brief(one_line(f"{type(error).__name__}: {error}"), 200)
            raise UserError(f"logger {type(self).__name__} failed ({told})") from error


def config_of(experiment: Experiment) -> Dict[str, Any]:
    """The keys of an experiment's config, with those of its tables as "codec.name"; lists are kept."""
    flat: Dict[str, Any] = {}
    for key, value in experiment.to_plain(nameless=True).items():
        flat.update(
            {f"{key}.{name}": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
        )
    return flat


def outcome_of(summary: Summary) -> Dict[str, Any]:
    """The results of a run: the numbers and texts of its summary that are not in its config."""
    own = {name: value for name, value in summary.as_dict().items() if name not in ("name", "seed", "ues")}
    return {name: value for name, value in own.items() if isinstance(value, (int, float, str))}
