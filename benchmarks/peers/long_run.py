"""Child process: a run of many short rounds on backend processes; prints the memory of the driver and its workers.

It is measured after every hundred rounds, in MB.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from fl_simu.experiment import Experiment
from fl_simu.loop import runs
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.loop.plan import load_data, plan
from fl_simu.results.records import RoundRecord
from fl_simu.results.run_folder import RunFolder

EVERY = 100


class Memory(Observer):
    """Resident memory of this process, and of its children in total."""

    def __init__(self, every: int) -> None:
        self.every = every
        self.driver_mb, self.workers_mb = [], []

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        if record.round % self.every == 0:
            here = psutil.Process()
            self.driver_mb.append(here.memory_info().rss / 1e6)
            children = here.children(recursive=True)
            self.workers_mb.append(sum(one.memory_info().rss for one in children) / 1e6)


def main() -> None:
    rounds = int(sys.argv[1])
    values = {
        "rounds": rounds,
        "ues": 8,
        "backend": {"name": "processes", "workers": 2},
        "data": {"name": "digits"},
        "model": "mlp",
        "partition": {"name": "iid", "samples_per_ue": 40},
    }
    planned = plan(Experiment.parse(values))
    # At least three samples, even in a short run.
    memory = Memory(min(EVERY, rounds // 3))
    with TemporaryDirectory() as folder:
        runs.begin(planned, load_data(planned), RunFolder(Path(folder) / "run"), [memory])
    print(json.dumps({"rounds": rounds, "driver_mb": memory.driver_mb, "workers_mb": memory.workers_mb}))


if __name__ == "__main__":
    main()
