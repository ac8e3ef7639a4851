"""When worker processes pay off: rounds of models of several sizes, in one process and in workers; prints a table.

Each round sends a model to ten UEs, trains five steps at each, and fetches the trained models. The multiply-adds
of a step are counted as in `backend = "auto"`, which selects processes from `WORTH_SHARING` on.
"""

import argparse
from functools import partial
from statistics import median
from typing import Union

import torch
from timing import timed

from fl_simu.backends.auto import WORTH_SHARING
from fl_simu.backends.base import Backend
from fl_simu.backends.processes import Processes
from fl_simu.backends.torch_loop import Torch
from fl_simu.kernel.machine import prepare
from fl_simu.kernel.parameters import Params
from fl_simu.models import MODELS, Mlp
from fl_simu.models.base import Model
from fl_simu.models.cost import multiply_adds
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.training import Key, LocalTraining, Shard, Task, initial_params

SHAPE, CLASSES, UES, STEPS = (1, 28, 28), 10, 10, 5
SIZES = [(MODELS["logistic_regression"](), batch) for batch in (10, 100)]
SIZES += [(Mlp((width,)), batch) for width, batch in ((32, 10), (100, 10), (100, 32), (300, 32), (1000, 32))]
SIZES += [(MODELS["mnist_cnn"](), batch) for batch in (1, 10)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    prepare(1)
    print(f"{'multiply-adds':>14} {'one process':>12} {'workers':>9} {'ratio':>6}  auto takes")
    for model, batch_size in SIZES:
        make = partial(model.build, SHAPE, CLASSES)
        work = 3 * batch_size * multiply_adds(make(), SHAPE)
        alone, shared = (
            seconds(model, batch_size, spec, options.rounds) for spec in (Torch(), Processes(options.workers))
        )
        taken = "processes" if work >= WORTH_SHARING else "torch"
        print(f"{work:>14,} {1e3 * alone:>9.1f} ms {1e3 * shared:>6.1f} ms {alone / shared:>6.2f}  {taken}")


def seconds(model: Model, batch_size: int, spec: Union[Torch, Processes], rounds: int) -> float:
    """Median seconds of a round, without the first three."""
    make = partial(model.build, SHAPE, CLASSES)
    training = LocalTraining(make, model.loss, Sgd(), batch_size=batch_size, fast=True)
    torch.manual_seed(1)
    samples = UES * STEPS * batch_size
    images, labels = torch.randn(samples, *SHAPE), torch.randint(CLASSES, (samples,))
    backend = spec.build(training)
    for ue, rows in enumerate(torch.arange(samples).split(STEPS * batch_size)):
        backend.place(ue, Shard(images, labels, rows))
    params = initial_params(make, 1)
    found = timed(3 + rounds, partial(one_round, backend, params))
    backend.close()
    return median(found[3:])


def one_round(backend: Backend, params: Params, round: int) -> None:
    start = {name: tensor.clone() for name, tensor in params.items()}
    backend.train([Task(Key(1, ue, round), start, {}) for ue in range(UES)])
    for ue in range(UES):
        backend.get(ue)


if __name__ == "__main__":
    main()
