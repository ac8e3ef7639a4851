"""Child process: rounds of many UEs with small models, stacked and in a bare loop of torch; prints JSON.

The bare loop does only the indispensable work: copy a model in, create an optimiser, do the steps, copy the model
out. Its one module runs on one thread; the stack on `--threads`.
"""

import argparse
import json
from functools import partial
from statistics import median
from typing import List

import torch
from peak_memory import peak_mb
from timing import timed

from fl_simu.backends.vectorized import Vectorized, VectorizedUes
from fl_simu.kernel.machine import prepare
from fl_simu.kernel.parameters import Params, params_of
from fl_simu.parts import KINDS
from fl_simu.ue.training import Key, LocalTraining, Shard, Task, initial_params

SHAPE, CLASSES = (1, 28, 28), 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="logistic_regression")
    parser.add_argument("--optimizer", default="sgd")
    parser.add_argument("--ues", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=20, help="of each UE")
    parser.add_argument("--batch-size", type=int, default=10)
    parser.add_argument("--memory-mb", type=int, default=256)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    model, optimizer = KINDS["model"].rows[options.model](), KINDS["optimizer"].rows[options.optimizer]()
    make = partial(model.build, SHAPE, CLASSES)
    training = LocalTraining(make, model.loss, optimizer, batch_size=options.batch_size, fast=True, shape=SHAPE)
    torch.manual_seed(1)
    rows = options.ues * options.samples
    images, labels = torch.randn(rows, *SHAPE), torch.randint(CLASSES, (rows,))
    shards = [Shard(images, labels, part) for part in torch.randperm(rows).split(options.samples)]
    params = initial_params(make, seed=1)

    prepare(options.threads)
    before_mb = peak_mb()
    backend = Vectorized(memory_mb=options.memory_mb).build(training)
    for ue, shard in enumerate(shards):
        backend.place(ue, shard)
    # The first round of each is a warm-up.
    stacked_s = timed(1 + options.rounds, partial(stacked_round, backend, params, options.ues))[1:]
    after_mb = peak_mb()
    torch.set_num_threads(1)
    bare_s = timed(1 + options.rounds, partial(bare_round, training, params, shards))[1:]
    figures = {
        "stacked_s": stacked_s,
        "bare_s": bare_s,
        "times_faster": median(bare_s) / median(stacked_s),
        "peak_mb": after_mb - before_mb,
        "models_mb": options.ues * sum(tensor.numel() * tensor.element_size() for tensor in params.values()) / 1e6,
        "estimate_of_a_ue_mb": backend.footprint.of(min(options.batch_size, options.samples)) / 1e6,
    }
    print(json.dumps(figures))


def stacked_round(backend: VectorizedUes, params: Params, ues: int, round: int) -> None:
    backend.train([Task(Key(1, ue, round), params, {}) for ue in range(ues)])
    for ue in range(ues):
        backend.get(ue)


def bare_round(training: LocalTraining, params: Params, shards: List[Shard], round: int) -> None:
    module = training.make_module()
    own = dict(module.named_parameters())
    for shard in shards:
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(params[name])
        optimizer = training.optimizer.build(module.parameters())
        for rows in shard.indices[torch.randperm(len(shard.indices))].split(training.batch_size):
            training.step(module, optimizer, shard.images[rows], shard.labels[rows])
        params_of(module)


if __name__ == "__main__":
    main()
