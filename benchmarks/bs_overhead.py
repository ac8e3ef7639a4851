"""Child process: rounds in which no UE trains; prints the seconds of each.

What remains is the BS's own work: clock, protocol, encoding and decoding, the mean, record and checkpoint.
"""

import json
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict

from idle import Standstill
from laps import Laps
from many_ues import random_images

from fl_simu.experiment import Experiment
from fl_simu.kernel.machine import keep_freed_memory
from fl_simu.loop import runs
from fl_simu.loop.plan import plan
from fl_simu.results.run_folder import RunFolder

ROUNDS = 11


def main() -> None:
    values: Dict[str, Any] = {
        "rounds": ROUNDS,
        "ues": 16,
        "backend": "torch",
        "payload": "update",
        "codec": {"name": "affine", "base_bits": 2, "enhancement_bits": [2]},
        "protocol": {"name": "base_then_enhancement"},
    }
    keep_freed_memory()
    planned = plan(Experiment.parse(values))
    planned = replace(planned, backend=Standstill(planned.training))
    watch = Laps()
    with TemporaryDirectory() as folder:
        runs.begin(planned, random_images(160), RunFolder(Path(folder)), [watch])
    # The first round has the start in it.
    print(json.dumps({"seconds": watch.seconds[1:]}))


if __name__ == "__main__":
    main()
