"""The laws of partitions. Each takes labels, shape (N,), and a number of UEs; a refusal is a UserError."""

from typing import List

import numpy as np
import torch

from fl_simu.data.datasets import Samples
from fl_simu.data.partition import Partition
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.randomness import stream
from fl_simu.laws.base import SEED, Inputs, Law, expect, same


def dealt(partition: Partition, labels: np.ndarray, ues: int) -> List[np.ndarray]:
    """The samples of each UE, with the same draws each time; nothing if there are too few samples."""
    try:
        return _deal(partition, labels, ues)
    except UserError:
        return []


def _deal(partition: Partition, labels: np.ndarray, ues: int) -> List[np.ndarray]:
    """With data that name a UE for each sample, if the partition needs it."""
    return partition.deal(labels, np.arange(len(labels)) % ues, ues, stream(SEED, "laws"))


def sixty_thousand_samples_suffice_for_two_ues(partition: Partition) -> None:
    """As many as in MNIST; otherwise no other law could be checked."""
    _deal(partition, np.arange(60_000) % 10, 2)


def every_ue_gets_indices_of_samples(partition: Partition, labels: np.ndarray, ues: int) -> None:
    """One int64 array per UE, shape (n,), none empty, all indices from 0 to N - 1."""
    parts = dealt(partition, labels, ues)
    if parts:
        same("the number of UEs that get samples", len(parts), ues)
    for ue, part in enumerate(parts):
        same(f"dtype and number of axes of the part of UE {ue}", (part.dtype, part.ndim), (np.dtype(np.int64), 1))
        expect(len(part) > 0, f"UE {ue} gets no sample; right is at least one")
        least, most = int(part.min()), int(part.max())
        told = f"UE {ue} gets indices from {least} to {most}"
        expect(least >= 0 and most < len(labels), f"{told}; right are 0 to {len(labels) - 1}")


def the_same_draws_deal_the_same(partition: Partition, labels: np.ndarray, ues: int) -> None:
    """All random numbers come from `rng`."""
    first, second = dealt(partition, labels, ues), dealt(partition, labels, ues)
    equal = len(first) == len(second) and all(np.array_equal(one, other) for one, other in zip(first, second))
    expect(equal, "with the same generator it deals otherwise the second time; right is the same")


def the_labels_are_left_alone(partition: Partition, labels: np.ndarray, ues: int) -> None:
    before = labels.copy()
    dealt(partition, labels, ues)
    expect(np.array_equal(labels, before), "the labels have changed; right are the same")


def ues_hold_as_many_samples_of_the_same_shape(partition: Partition, labels: np.ndarray, ues: int) -> None:
    """Images float32, (N, C, H, W), finite; labels int64, (N,); the given samples are not changed."""
    samples, parts = _samples(labels), dealt(partition, labels, ues)
    given = samples.images.clone(), samples.labels.clone()
    found = partition.as_held(samples, parts, SEED)
    for name, one, wanted in zip(("images", "labels"), (found.images, found.labels), given):
        same(f"shape and dtype of the {name}", (tuple(one.shape), one.dtype), (tuple(wanted.shape), wanted.dtype))
    expect(bool(torch.isfinite(found.images).all()), "an image holds NaN or infinite numbers")
    alone = torch.equal(samples.images, given[0]) and torch.equal(samples.labels, given[1])
    expect(alone, "the samples that were given have changed; right are the same")


def with_the_same_seed_ues_hold_the_same(partition: Partition, labels: np.ndarray, ues: int) -> None:
    parts = dealt(partition, labels, ues)
    first, second = (partition.as_held(_samples(labels), parts, SEED) for _ in range(2))
    equal = torch.equal(first.images, second.images) and torch.equal(first.labels, second.labels)
    expect(equal, "with the same seed the UEs hold other samples the second time; right are the same")


def _samples(labels: np.ndarray) -> Samples:
    generator = torch.Generator().manual_seed(SEED)
    return Samples(torch.randn(len(labels), 1, 2, 3, generator=generator), torch.from_numpy(labels.copy()))


def cases(partition: Partition) -> Inputs:
    """Equal and unequal classes, one class, as many UEs as samples, one UE."""
    unequal = np.repeat(np.arange(10), np.arange(10, 110, 10))
    return {
        "3,000 samples of 10 classes for 8 UEs": (np.arange(3000) % 10, 8),
        "550 samples of 10 unequal classes for 7 UEs": (unequal, 7),
        "40 samples of one class for 3 UEs": (np.zeros(40, np.int64), 3),
        "5 samples for 5 UEs": (np.arange(5) % 2, 5),
        "5 samples for 9 UEs": (np.arange(5) % 2, 9),
        "60,000 samples for one UE": (np.arange(60_000) % 10, 1),
    }


LAWS = (
    Law(sixty_thousand_samples_suffice_for_two_ues, lambda partition: {"": ()}),
    Law(every_ue_gets_indices_of_samples, cases),
    Law(the_same_draws_deal_the_same, cases),
    Law(the_labels_are_left_alone, cases),
    Law(ues_hold_as_many_samples_of_the_same_shape, cases),
    Law(with_the_same_seed_ues_hold_the_same, cases),
)
