"""Child process: a job's rounds on backend torch under torch's profiler; prints the seconds of each operator."""

import json
import sys
from pathlib import Path

from torch.profiler import ProfilerActivity, profile

from benchmarks.peers import ours
from benchmarks.peers.jobs import read


def main() -> None:
    job, arrays = read(Path(sys.argv[1]))
    rounds = len(arrays.drawn)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        outcome = ours.run(job, arrays, rounds, {"name": "torch"})
    operators_s = {one.key: one.self_cpu_time_total / 1e6 for one in profiler.key_averages()}
    print(json.dumps({"rounds_s": sum(outcome.seconds), "operators_s": operators_s}))


if __name__ == "__main__":
    main()
