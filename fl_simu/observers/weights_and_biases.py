"""Weights & Biases."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Optional

from fl_simu.experiment import Experiment
from fl_simu.observers.base import Logger, Numbers, config_of, outcome_of
from fl_simu.results.records import Summary


@dataclass
class WandB(Logger):
    """A run of Weights & Biases, with the experiment's config and name.

    A resumed run becomes a new run there, unless both have the same `id`.

    Args:
        project, entity, group: where the run belongs.
        mode: "online", "offline" or "disabled"; if None, the environment decides.
        id: id of the run there, needed if the run will be resumed.
    """

    package: ClassVar[str] = "wandb"

    project: str = "fl_simu"
    entity: Optional[str] = None
    group: Optional[str] = None
    mode: Optional[str] = None
    id: Optional[str] = None

    def open(self, experiment: Experiment, rounds: int, folder: Optional[Path]) -> None:
        import wandb

        asked = {"entity": self.entity, "group": self.group, "mode": self.mode, "id": self.id}
        given = {name: value for name, value in asked.items() if value is not None}
        if self.id is not None:
            given["resume"] = "allow"
        self.opened = wandb.init(project=self.project, name=experiment.name, config=config_of(experiment), **given)

    def write(self, step: int, numbers: Numbers) -> None:
        self.opened.log(dict(numbers), step=step)

    def close(self, summary: Optional[Summary]) -> None:
        run, self.opened = self.opened, None
        if run is not None:
            if summary is not None:
                run.summary.update(outcome_of(summary))
            run.finish(exit_code=0 if summary is not None else 1)
