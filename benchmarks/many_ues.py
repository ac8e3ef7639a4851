"""Child process: a run with many UEs on the torch backend; prints peak memory, its main parts, and time."""

import argparse
import json
import time
from tempfile import TemporaryDirectory
from typing import Tuple

import torch
from peak_memory import peak_mb
from torch import Tensor

import fl_simu as fl
from fl_simu.kernel.machine import keep_freed_memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ues", type=int, default=16)
    parser.add_argument("--drawn", type=int, default=16, help="UEs of a round")
    parser.add_argument("--samples", type=int, default=8, help="of a UE")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()

    data = random_images(options.samples * options.ues)
    experiment = fl.Experiment(
        rounds=options.rounds,
        ues=options.ues,
        ues_per_round=options.drawn,
        backend="torch",
        data=data,
        training=fl.Training(batch_size=options.samples),
        codec=fl.codecs.Affine(base_bits=4),
    )
    keep_freed_memory()
    with TemporaryDirectory() as folder:
        before_mb, began = peak_mb(), time.perf_counter()
        fl.run(experiment, folder)
        wall_s = time.perf_counter() - began
    images, _ = data[0]
    data_mb = images.numel() * images.element_size() / 1e6
    print(json.dumps({"peak_mb": peak_mb(), "before_mb": before_mb, "data_mb": data_mb, "wall_s": wall_s}))


def random_images(count: int) -> Tuple[Tuple[Tensor, Tensor], Tuple[Tensor, Tensor]]:
    """This many training images of MNIST's shape, and the fewest possible test images, with their labels."""
    torch.manual_seed(1)
    images, labels = torch.randn(count, 1, 28, 28), torch.randint(10, (count,))
    # Every class occurs, so that the model has ten outputs.
    labels[:10] = torch.arange(10)
    return (images, labels), (images[:16], labels[:16])


if __name__ == "__main__":
    main()
