"""MLflow."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Optional

from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import brief
from fl_simu.observers.base import Logger, Numbers, config_of, outcome_of
from fl_simu.results.records import Summary

# A server's limits: parameters per request, and characters per parameter, in MLflow 1 and later.
MOST_PARAMETERS, LONGEST_PARAMETER = 100, 500


@dataclass
class MLflow(Logger):
    """A run of MLflow, with the experiment's config as parameters. MLflow's own active run does not change.

    Args:
        experiment: name of the MLflow experiment, created if it does not exist.
        tracking_uri: URI of the server or folder; if None, `MLFLOW_TRACKING_URI` applies.
        run_id: id of an MLflow run to continue; if None, a new run.
    """

    package: ClassVar[str] = "mlflow"

    experiment: str = "fl_simu"
    tracking_uri: Optional[str] = None
    run_id: Optional[str] = None

    def open(self, experiment: Experiment, rounds: int, folder: Optional[Path]) -> None:
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        client = MlflowClient(tracking_uri=self.tracking_uri)
        if self.run_id is not None:
            self.opened = client, self.run_id
            return
        there = client.get_experiment_by_name(self.experiment)
        place = client.create_experiment(self.experiment) if there is None else there.experiment_id
        run_id = client.create_run(place, tags={"mlflow.runName": experiment.name}).info.run_id
        self.opened = client, run_id
        values = config_of(experiment).items()
        parameters = [Param(_name(key), brief(str(value), LONGEST_PARAMETER)) for key, value in values]
        for at in range(0, len(parameters), MOST_PARAMETERS):
            client.log_batch(run_id, params=parameters[at : at + MOST_PARAMETERS])

    def write(self, step: int, numbers: Numbers) -> None:
        from mlflow.entities import Metric

        client, run_id = self.opened
        now = int(1000 * time.time())
        metrics = [Metric(_name(name), float(number), now, step) for name, number in numbers.items()]
        client.log_batch(run_id, metrics=metrics)

    def close(self, summary: Optional[Summary]) -> None:
        opened, self.opened = self.opened, None
        if opened is not None:
            client, run_id = opened
            if summary is not None:
                for name, value in outcome_of(summary).items():
                    client.set_tag(run_id, name, value)
            client.set_terminated(run_id, "FINISHED" if summary is not None else "FAILED")


def _name(name: str) -> str:
    """Replace the characters that MLflow does not allow in names."""
    return re.sub(r"[^\w\-./ ]", "_", name)
