"""Child process: rounds in which no UE trains; prints the seconds of each.

What remains is the BS's own work: clock, protocol, encoding and decoding, the mean, record and checkpoint.
"""

import json
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, List

from idle import Standstill
from many_ues import random_images

from fl_simu import config, runs
from fl_simu.assemble import plan

ROUNDS = 11


class Stopwatch:
    """An observer, told last of all, that notes when each round has ended."""

    def __init__(self) -> None:
        self.ends: List[float] = []

    def fetched(self, ue: int) -> None:
        pass

    def aggregated(self, record: Any, coordinator: Any) -> None:
        self.ends.append(time.perf_counter())


def main() -> None:
    values: Dict[str, Any] = {
        "rounds": ROUNDS,
        "ues": 16,
        "backend": "torch",
        "payload": "update",
        "codec": {"name": "affine", "base_bits": 2, "enhancement_bits": [2]},
        "protocol": {"name": "base_then_enhancement"},
    }
    planned = plan(config.parse(values))
    planned = replace(planned, backend=Standstill(planned.training))
    watch = Stopwatch()
    with TemporaryDirectory() as folder:
        runs.begin(planned, random_images(160), runs.RunFolder(Path(folder)), [watch])
    print(json.dumps({"seconds": [end - start for start, end in zip(watch.ends, watch.ends[1:])]}))


if __name__ == "__main__":
    main()
