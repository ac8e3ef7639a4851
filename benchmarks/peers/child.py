"""Child process: one job on one framework; prints JSON last, and saves the final parameters to a file."""

import argparse
import json
import os
from importlib import import_module
from pathlib import Path
from typing import Any, Dict

import numpy as np
import torch

from benchmarks.peers.jobs import read
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.parameters import to_arrays

FRAMEWORKS = {
    "bare": "benchmarks.peers.bare",
    "fl_simu": "benchmarks.peers.ours",
    "flower": "benchmarks.peers.flower",
    "fedlab": "benchmarks.peers.fed_lab",
    "pfl": "benchmarks.peers.pfl_research",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework", choices=sorted(FRAMEWORKS))
    parser.add_argument("job", type=Path, help="the job's file")
    parser.add_argument("--options", type=json.loads, default={}, help="more arguments of the framework, as JSON")
    parser.add_argument("--params", type=Path, required=True, help="where the final params go")
    given = parser.parse_args()
    job, arrays = read(given.job)
    rounds = len(arrays.drawn)
    try:
        outcome = import_module(FRAMEWORKS[given.framework]).run(job, arrays, rounds, **given.options)
    except UserError as error:
        raise SystemExit(str(error)) from None
    # If torchrun started it, every process has the same model; the first one reports.
    if os.environ.get("RANK", "0") != "0":
        return
    np.savez(str(given.params), **to_arrays(outcome.params))
    told: Dict[str, Any] = outcome._asdict()
    del told["params"]
    told["versions"] = {**outcome.versions, "torch": torch.__version__}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
