"""Child process: a run with many UEs on the torch backend; prints its peak memory and what explains it as JSON."""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from peak_memory import peak_mb

from fl_simu import config, runs
from fl_simu.assemble import plan
from fl_simu.ue.datasets import Dataset, Samples

SAMPLES_PER_UE = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ues", type=int, default=16)
    parser.add_argument("--drawn", type=int, default=16, help="UEs of a round")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()

    values = {
        "rounds": options.rounds,
        "ues": options.ues,
        "ues_per_round": options.drawn,
        "backend": "torch",
        "training": {"batch_size": SAMPLES_PER_UE},
        "codec": {"name": "affine", "base_bits": 4},
    }
    planned = plan(config.parse(values))
    dataset = random_images(SAMPLES_PER_UE * options.ues)
    with TemporaryDirectory() as folder:
        before_mb = peak_mb()
        runs.begin(planned, dataset, runs.RunFolder(Path(folder)))
    data_mb = dataset.train.images.numel() * dataset.train.images.element_size() / 1e6
    print(json.dumps({"peak_mb": peak_mb(), "before_mb": before_mb, "data_mb": data_mb}))


def random_images(count: int) -> Dataset:
    """So many images of MNIST's shape to train on, and as few as can be to test on."""
    torch.manual_seed(1)
    train = Samples(torch.randn(count, 1, 28, 28), torch.randint(10, (count,)))
    return Dataset("random", train, Samples(train.images[:16], train.labels[:16]), 10, "drawn")


if __name__ == "__main__":
    main()
