"""Child process: makes a round of one backend for each line that it reads, and prints the seconds that it took.

So two backends in two processes can take turns, and other load on the machine affects both equally.
"""

import argparse
import json
import sys
import time

import torch

from fl_simu.backends import BACKENDS
from fl_simu.models import MODELS
from fl_simu.ue.optimizers import OPTIMIZERS
from fl_simu.ue.training import Key, LocalTraining, Shard, Task, initial_params

SHAPE, CLASSES = (1, 28, 28), 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backend", choices=sorted(BACKENDS))
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--ues", type=int, default=4)
    parser.add_argument("--samples", type=int, default=256, help="of each UE")
    options = parser.parse_args()
    torch.set_num_threads(1)

    model, spec = MODELS["mnist_cnn"](), BACKENDS[options.backend]()
    training = LocalTraining(
        lambda: model.build(SHAPE, CLASSES),
        model.loss,
        OPTIMIZERS["sgd"](lr=0.01),
        batch_size=options.batch_size,
        fast=spec.fast,
    )
    params = initial_params(training.make_module, seed=1)
    backend = spec.build(training)
    torch.manual_seed(1)
    rows = options.ues * options.samples
    images, labels = torch.randn(rows, *SHAPE), torch.randint(CLASSES, (rows,))
    for ue, indices in enumerate(torch.arange(rows).split(options.samples)):
        backend.place(ue, Shard(images, labels, indices))

    ues = range(options.ues)
    for version, _ in enumerate(sys.stdin):
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        backend.train([Task(Key(1, ue, version), params, {}) for ue in ues])
        for ue in ues:
            backend.get(ue)
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        # Wall-clock time, and the CPU time of this process.
        print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s}), flush=True)


if __name__ == "__main__":
    main()
