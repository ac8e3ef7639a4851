"""Two rounds of UEs that worker processes train, for the tests of backends with workers."""

from functools import partial

import torch

from fl_simu.kernel.parameters import sha256
from fl_simu.models import MnistCnn
from fl_simu.ue.optimizers import Adam
from fl_simu.ue.training import Key, LocalTraining, Shard, Task, initial_params

SHAPE, CLASSES, UES, SEED = (1, 28, 28), 10, 8, 7
CNN = MnistCnn(dropout=0.25)


def local_training(spec, loss=None, model=CNN, **options):
    make = partial(model.build, SHAPE, CLASSES)
    options = {"batch_size": 16, "keep_optimizer_state": True, "optimizer": Adam(), **options}
    return LocalTraining(make, loss or model.loss, options.pop("optimizer"), fast=spec.fast, **options)


def placed(spec, local):
    generator, backend = torch.Generator().manual_seed(3), spec.build(local)
    images = torch.randn(UES * 48, *SHAPE, generator=generator)
    labels = torch.randint(0, CLASSES, (UES * 48,), generator=generator)
    for ue, rows in enumerate(torch.randperm(UES * 48, generator=generator).split(48)):
        # Shards of different lengths, one of them with its own arrays.
        own = (images.clone(), labels.clone()) if ue == 5 else (images, labels)
        backend.place(ue, Shard(*own, rows[: 16 + 4 * ue]))
    return backend


def two_rounds(spec, order=range(UES), meanwhile=lambda backend: None, **options):
    """Digests of all models of two rounds, and of an optimiser; `meanwhile` is called in the second round."""
    local = local_training(spec, **options)
    backend, params, digests = placed(spec, local), initial_params(local.make_module, SEED), []
    memories = {ue: {} for ue in range(UES)}
    for round in range(2):
        backend.train([Task(Key(SEED, ue, round), params, memories[ue]) for ue in range(UES)])
        if round == 1:
            meanwhile(backend)
        trained = {ue: backend.get(ue) for ue in order}
        digests += [sha256(trained[ue].params) for ue in range(UES)]
        params, memories = trained[3].params, {ue: one.memory for ue, one in trained.items()}
    digests.append(sha256(memories[2]))
    backend.close()
    return digests
