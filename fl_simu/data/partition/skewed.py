"""Partitions in which UEs differ in their classes or in their numbers of samples."""

from dataclasses import dataclass
from typing import ClassVar, List, Optional

import numpy as np

from fl_simu.data.partition.base import Partition, draw, is_count, parts_of, require_count, require_ues, shuffled
from fl_simu.kernel.errors import UserError, require

# With a larger alpha the classes are practically split evenly.
LARGEST_ALPHA = 1e9


@dataclass(frozen=True)
class ShardsByLabel(Partition):
    """Samples sorted by label, cut into `ues * shards_per_ue` shards of equal size, assigned at random.

    With few shards a UE sees few classes (label skew). Shard sizes differ by one at most.

    Args:
        shards_per_ue: number of shards that each UE gets, 1 or more.
        samples_per_ue: draw `ues * samples_per_ue` samples at random first, and distribute only those; a multiple
            of `shards_per_ue`. If not given, all samples are distributed.

    Reference: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
    2017, section 3 (100 clients with 2 of 200 shards each).
    """

    shards_per_ue: int = 2
    samples_per_ue: Optional[int] = None

    def __post_init__(self) -> None:
        require(is_count(self.shards_per_ue), "shards_per_ue", self.shards_per_ue, "a whole number, at least 1")
        require_count("samples_per_ue", self.samples_per_ue)
        whole = self.samples_per_ue is None or self.samples_per_ue % self.shards_per_ue == 0
        allowed = f"a multiple of shards_per_ue, {self.shards_per_ue}"
        require(whole, "samples_per_ue", self.samples_per_ue, allowed)

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        drawn = np.sort(draw(len(labels), ues, self.samples_per_ue, rng))
        count = ues * self.shards_per_ue
        allowed = f"at most {len(drawn) // ues}, so that {ues} UEs can share {len(drawn)} samples"
        require(count <= len(drawn), "shards_per_ue", self.shards_per_ue, allowed)
        by_label = drawn[np.argsort(np.asarray(labels)[drawn], kind="stable")]
        shards = np.array_split(by_label, count)
        hands = shuffled(count, rng).reshape(ues, self.shards_per_ue)
        return [np.sort(np.concatenate([shards[shard] for shard in hand])) for hand in hands]


@dataclass(frozen=True)
class LabelsPerUe(Partition):
    """Each UE has samples of exactly `labels_per_ue` classes.

    The classes of each UE are drawn. The first class of each UE cycles through all classes, so that every class
    has a UE if there are at least as many UEs as classes. Its other classes are arbitrary. The samples of a class
    are split evenly among the UEs that have it; those of a class that no UE has are left out. So sizes differ with
    the number of UEs that share a class. `shards_by_label` gives equal sizes instead.

    Args:
        labels_per_ue: number of classes of each UE, 1 or more, at most those that the data have.

    Raises:
        UserError: a class has fewer samples than UEs that have it.

    Reference: Li, Diao, Chen, He, "Federated Learning on Non-IID Data Silos", 2022, section IV-A (#C = k).
    """

    labels_per_ue: int = 2

    def __post_init__(self) -> None:
        require(is_count(self.labels_per_ue), "labels_per_ue", self.labels_per_ue, "a whole number, at least 1")

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        require_ues(ues, len(labels))
        classes, kind = np.unique(labels, return_inverse=True)
        count = self.labels_per_ue
        require(count <= len(classes), "labels_per_ue", count, f"at most the {len(classes)} classes of the data")
        first = shuffled(len(classes), rng)[shuffled(ues, rng) % len(classes)]
        keys = rng.random((ues, len(classes)))
        keys[np.arange(ues), first] = -1.0
        drawn = np.argsort(keys, axis=1, kind="stable")[:, :count]
        parts: List[List[np.ndarray]] = [[] for _ in range(ues)]
        for each, label in enumerate(classes):
            members, holders = np.flatnonzero(kind == each), np.flatnonzero((drawn == each).any(axis=1))
            allowed = f"fewer, as {len(holders)} UEs have class {label}, of which there are {len(members)} samples"
            require(len(holders) <= len(members), "ues", ues, allowed)
            if len(holders):
                # In random order, since the first parts may be larger by one.
                shares = np.array_split(members[shuffled(len(members), rng)], len(holders))
                for ue, share in zip(holders[shuffled(len(holders), rng)], shares):
                    parts[ue].append(share)
        return [np.sort(np.concatenate(own)) for own in parts]


@dataclass(frozen=True)
class Dirichlet(Partition):
    """Each class is split over the UEs in proportions p ~ Dir(alpha, ..., alpha), drawn for each class.

    Each sample goes to exactly one UE. A small alpha means few classes per UE and unequal sizes; a large alpha is
    nearly IID. A draw that leaves a UE with fewer than `min_samples` is discarded. After 100 such draws the run
    ends with a message.

    Args:
        alpha: concentration, above 0, at most 1e9.
        min_samples: smallest number of samples of any UE, 1 or more.

    Raises:
        UserError: no draw gave every UE enough.

    Reference: Li, Diao, Chen, He, "Federated Learning on Non-IID Data Silos", 2022, section IV-A, after
    Yurochkin et al., "Bayesian Nonparametric Federated Learning of Neural Networks", 2019.
    """

    alpha: float = 0.3
    min_samples: int = 1

    DRAWS: ClassVar[int] = 100

    def __post_init__(self) -> None:
        number = isinstance(self.alpha, (int, float)) and not isinstance(self.alpha, bool)
        allowed = f"a finite number above 0, at most {LARGEST_ALPHA:g}"
        require(number and 0 < self.alpha <= LARGEST_ALPHA, "alpha", self.alpha, allowed)
        require(is_count(self.min_samples), "min_samples", self.min_samples, "a whole number, at least 1")

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        require_ues(ues, len(labels))
        allowed = f"at most {len(labels) // ues}, so that {ues} UEs can share {len(labels)} samples"
        require(self.min_samples <= len(labels) // ues, "min_samples", self.min_samples, allowed)
        for _ in range(self.DRAWS):
            owner = self._owners(np.asarray(labels), ues, rng)
            sizes = np.bincount(owner, minlength=ues)
            if sizes.min() >= self.min_samples:
                return parts_of(owner, sizes)
        raise UserError(
            f"alpha = {self.alpha}, min_samples = {self.min_samples}: none of {self.DRAWS} draws gave each "
            f"of {ues} UEs so many of {len(labels)} samples; raise alpha, lower min_samples or take fewer UEs"
        )

    def _owners(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> np.ndarray:
        owner = np.empty(len(labels), np.int64)
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            ends = np.cumsum(_proportions(self.alpha, ues, rng)) * len(members)
            places = np.searchsorted(ends[:-1], np.arange(len(members)) + 0.5)
            owner[members[shuffled(len(members), rng)]] = places
        return owner


@dataclass(frozen=True)
class QuantitySkew(Dirichlet):
    """UEs with unequal numbers of samples from one distribution: shares p ~ Dir(alpha, ..., alpha).

    The shares are of all samples. Each sample goes to exactly one UE, whatever its class. A small alpha means very
    unequal sizes. Draws with fewer than `min_samples` for a UE are discarded as under `dirichlet`.

    Args:
        alpha: concentration, above 0, at most 1e9.
        min_samples: smallest number of samples of any UE, 1 or more.

    Raises:
        UserError: no draw gave every UE enough.

    Reference: Li, Diao, Chen, He, "Federated Learning on Non-IID Data Silos", 2022, section IV-C.
    """

    alpha: float = 0.5

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        return super().split(np.zeros(len(labels), np.int64), ues, rng)


def _proportions(alpha: float, ues: int, rng: np.random.Generator) -> np.ndarray:
    shares = rng.standard_gamma(alpha, size=ues)
    if not shares.sum() > 0:  # a tiny alpha underflows; in the limit one UE gets all samples
        shares = np.arange(ues) == int(rng.random() * ues)
    return shares / shares.sum()
