"""Child process: rounds of a job in which no UE trains, and the seconds of each."""

import argparse
import json
from pathlib import Path

from benchmarks.peers import ours
from benchmarks.peers.jobs import read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", type=Path, help="the job's file")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--records", action="store_true", help="each round ends with its record")
    what.add_argument("--checkpoints", action="store_true", help="and with a checkpoint")
    given = parser.parse_args()
    job, arrays = read(given.job)
    print(json.dumps({"seconds": ours.overhead(job, arrays, len(arrays.drawn), given.checkpoints)}))


if __name__ == "__main__":
    main()
