"""Child process: runs the command `run` until the first trained model is fetched; prints the time of that.

A UE of the experiment trains on one batch. The program then ends.
"""

import json
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory


def main() -> None:
    from fl_simu.experiment import Experiment
    from fl_simu.kernel.errors import UserError
    from fl_simu.loop import runs
    from fl_simu.loop.coordinator import Observer
    from fl_simu.loop.plan import load_data, plan
    from fl_simu.results.run_folder import RunFolder

    class FirstModel(Observer):
        """Prints the time and ends the program."""

        def fetched(self, ue: int) -> None:
            print(json.dumps({"at_s": time.time()}), flush=True)
            planned.backend.close()
            os._exit(0)

    values = {
        "rounds": 1,
        "backend": json.loads(sys.argv[1]),
        "data": {"name": "mnist", "test_samples": 100},
        "partition": {"name": "iid", "samples_per_ue": 64},
    }
    try:
        planned = plan(Experiment.parse(values))
        with TemporaryDirectory() as folder:
            runs.begin(planned, load_data(planned), RunFolder(Path(folder)), [FirstModel()])
    except UserError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
