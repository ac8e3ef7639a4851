"""Child process: cases on one framework, in its environment; prints JSON last, and saves the models to a file."""

import argparse
import json
from importlib import import_module
from pathlib import Path

import torch

from benchmarks.peers.agreement.problem import read, write_models

# Framework -> module and package.
FRAMEWORKS = {
    "flower": ("benchmarks.peers.agreement.flower", "flwr"),
    "fedlab": ("benchmarks.peers.agreement.fed_lab", "fedlab"),
    "pfl": ("benchmarks.peers.agreement.pfl_research", "pfl"),
}


def main() -> None:
    # Python 3.7 does not have it, and imports this file for the names of the frameworks.
    from importlib.metadata import version

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("framework", choices=sorted(FRAMEWORKS))
    parser.add_argument("problem", type=Path, help="the problem's file")
    parser.add_argument("--cases", type=json.loads, required=True, help="arguments of each, as JSON")
    parser.add_argument("--models", type=Path, required=True, help="where the global models go")
    given = parser.parse_args()
    torch.set_num_threads(1)
    module, package = FRAMEWORKS[given.framework]
    problem, run = read(given.problem), import_module(module).run
    write_models(given.models, [run(problem, **case) for case in given.cases])
    print(json.dumps({"version": f"{package} {version(package)}"}), flush=True)


if __name__ == "__main__":
    main()
