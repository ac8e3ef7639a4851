"""TensorBoard."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Optional

from fl_simu.experiment import Experiment
from fl_simu.observers.base import Logger, Numbers, config_of, outcome_of
from fl_simu.results.records import Summary


@dataclass
class TensorBoard(Logger):
    """Scalars of each round as TensorBoard's event files, which store them as float32.

    A resumed run writes into the same folder, and TensorBoard drops everything after the round from which it
    resumes.

    Args:
        folder: folder of the event files; if None, `tensorboard` in the run's folder, or in `runs/<name>-<time>`
            if the run has none.
    """

    package: ClassVar[str] = "tensorboard"

    folder: Optional[str] = None

    def open(self, experiment: Experiment, rounds: int, folder: Optional[Path]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        run = folder or Path("runs") / "{}-{}".format(experiment.name, time.strftime("%Y%m%d-%H%M%S"))
        place = self.folder or str(run / "tensorboard")
        self.opened = SummaryWriter(place, purge_step=rounds + 1 if rounds else None)
        self.opened.add_text("config", _preformatted(config_of(experiment)), rounds)
        self.opened.flush()

    def write(self, step: int, numbers: Numbers) -> None:
        for name, number in numbers.items():
            self.opened.add_scalar(name, number, step)
        self.opened.flush()

    def close(self, summary: Optional[Summary]) -> None:
        writer, self.opened = self.opened, None
        if writer is not None:
            if summary is not None:
                writer.add_text("summary", _preformatted(outcome_of(summary)), summary.rounds)
            writer.close()


def _preformatted(values: Any) -> str:
    """Format as Markdown that is shown unchanged."""
    return "".join(f"    {key} = {json.dumps(value)}\n" for key, value in values.items())
