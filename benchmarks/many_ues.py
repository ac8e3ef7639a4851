"""Child process: a run with many UEs on the torch backend; prints peak memory, what explains it, and time."""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from peak_memory import peak_mb

from fl_simu.data.datasets import Dataset, Samples
from fl_simu.experiment import Experiment
from fl_simu.kernel.machine import keep_freed_memory
from fl_simu.loop import runs
from fl_simu.loop.plan import plan
from fl_simu.results.run_folder import RunFolder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ues", type=int, default=16)
    parser.add_argument("--drawn", type=int, default=16, help="UEs of a round")
    parser.add_argument("--samples", type=int, default=8, help="of a UE")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()

    values = {
        "rounds": options.rounds,
        "ues": options.ues,
        "ues_per_round": options.drawn,
        "backend": "torch",
        "training": {"batch_size": options.samples},
        "codec": {"name": "affine", "base_bits": 4},
    }
    keep_freed_memory()
    planned = plan(Experiment.parse(values))
    dataset = random_images(options.samples * options.ues)
    with TemporaryDirectory() as folder:
        before_mb, began = peak_mb(), time.perf_counter()
        runs.begin(planned, dataset, RunFolder(Path(folder)))
        wall_s = time.perf_counter() - began
    data_mb = dataset.train.images.numel() * dataset.train.images.element_size() / 1e6
    print(json.dumps({"peak_mb": peak_mb(), "before_mb": before_mb, "data_mb": data_mb, "wall_s": wall_s}))


def random_images(count: int) -> Dataset:
    """So many images of MNIST's shape to train on, and as few as can be to test on."""
    torch.manual_seed(1)
    train = Samples(torch.randn(count, 1, 28, 28), torch.randint(10, (count,)))
    return Dataset("random", train, Samples(train.images[:16], train.labels[:16]), 10, "drawn")


if __name__ == "__main__":
    main()
