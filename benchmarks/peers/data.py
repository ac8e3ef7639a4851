"""Distributes a job's images to its clients, with the draws of an fl_simu experiment."""

from functools import partial

import numpy as np
import torch

from benchmarks.peers.jobs import Arrays, Job
from fl_simu.data.datasets import DATASETS, Dataset
from fl_simu.kernel.randomness import permutation, stream
from fl_simu.models import MODELS
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.training import Key, LocalTraining, initial_params

SEED = 1


def deal(job: Job, dataset: Dataset, rounds: int) -> Arrays:
    """The arrays of a job, with only as many images as its clients need.

    If the data set has fewer images than the clients need, they are drawn with replacement.
    """
    held, wanted, size = len(dataset.train), job.ues * job.samples, DATASETS[job.data].sizes[0]
    draws = stream(SEED, "partition")
    here = f"{held:,} training images" + (f" (of {size:,}) that are on this machine" if held < size else "")
    if wanted <= held:
        rows, how = permutation(draws, held)[:wanted], f"{wanted:,} of the {here}, each once"
    else:
        rows = (draws.random(wanted) * held).astype(np.int64)
        how = f"{wanted:,} drawn with replacement from the {here}"
    kept, rows = np.unique(rows, return_inverse=True)
    model = MODELS[job.model]()
    training = LocalTraining(
        partial(model.build, job.shape, dataset.classes), job.loss, Sgd(lr=job.lr), batch_size=job.batch_size
    )
    index = torch.from_numpy(kept)
    return Arrays(
        images=dataset.train.images[index],
        labels=dataset.train.labels[index],
        rows=torch.from_numpy(rows.reshape(job.ues, job.samples)),
        drawn=torch.stack([_drawn(job, round) for round in range(rounds)]),
        orders=torch.stack([_orders(job, training, round) for round in range(rounds)]),
        initial=initial_params(training.make_module, SEED),
        source=f"{dataset.name}, {how}",
    )


def _drawn(job: Job, round: int) -> torch.Tensor:
    """The UEs that fl_simu draws."""
    if job.drawn == job.ues:
        return torch.arange(job.ues)
    order = permutation(stream(SEED, "draw", round=round), job.ues)
    return torch.from_numpy(np.sort(order[: job.drawn]))


def _orders(job: Job, training: LocalTraining, round: int) -> torch.Tensor:
    """The batches that fl_simu draws, concatenated, for every UE."""
    keys = [Key(SEED, ue, round) for ue in range(job.ues)]
    return torch.stack([torch.cat(training.orders(key, job.samples)) for key in keys])
