"""How the training samples are dealt to the UEs.

Every partition is a frozen part with one method, `split(labels, ues, rng)`: int64 index arrays into the
training samples, one a UE, none empty. One that depends on the UEs that the data name has `deal` instead. Draws
come from `rng` alone, as sorted uniform keys rather than by `rng.permutation`, whose numbers numpy may change.
Where what a UE holds is not what the data have, as with noise of its own, `as_held` says so.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Dict, List, Optional, Sequence, Type

import numpy as np
import torch

from fl_simu.data.datasets import Samples
from fl_simu.data.formats import read_json
from fl_simu.kernel.errors import BadField, UserError, require, shown
from fl_simu.kernel.limits import require_factor
from fl_simu.kernel.randomness import stream

# The classes are shared out evenly long before; and what 16 GB of indices are.
LARGEST_ALPHA, MOST_DRAWN = 1e9, 10**9


class Partition(ABC):
    """How the training images are dealt to the UEs.

    Class attributes:
        changes_pixels: whether it changes the pixels of what it deals, so that images of characters are refused.
    """

    changes_pixels: ClassVar[bool] = False

    @abstractmethod
    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        """Deal the samples.

        Args:
            labels: class of each training sample, (N,).
            ues: number of UEs.
            rng: the only source of randomness.

        Returns:
            For each UE the int64 indices of its samples: never empty; ascending unless stated otherwise.

        Raises:
            UserError: the samples do not suffice for that many UEs.
        """

    def deal(
        self, labels: np.ndarray, owners: Optional[np.ndarray], ues: int, rng: np.random.Generator
    ) -> List[np.ndarray]:
        """`split`, for a partition that may look at the UEs that the data name; by default it does not.

        Args:
            labels, ues, rng: as for `split`.
            owners: the UE that has each training sample, int64 (N,), from 0 on; None where the data do not say.

        Returns:
            As `split`.

        Raises:
            UserError: as `split`, or owners that are missing or do not fit.
        """
        return self.split(labels, ues, rng)

    def as_held(self, samples: Samples, parts: Sequence[np.ndarray], seed: int) -> Samples:
        """The training samples as the UEs hold them; by default as they are.

        The UEs train on these, and what is measured on their own samples is measured on these. The test set is
        what it was.

        Args:
            samples: of all UEs, which are left alone.
            parts: what was dealt.
            seed: of the experiment, for `stream`.

        Returns:
            As many samples, in the same order and of the same shape.
        """
        return samples


@dataclass(frozen=True)
class Iid(Partition):
    """Every UE gets a random part of all samples, none in two parts; sizes differ by one at most, and the
    first UEs have the larger parts.

    Args:
        samples_per_ue: exactly so many for each UE, the rest unused; 1 or more, as far as the data reach. All are
            dealt where it is not given.

    >>> parts = Iid().split(np.zeros(5), 2, np.random.default_rng(0))
    >>> sorted(np.concatenate(parts).tolist()), [len(part) for part in parts]
    ([0, 1, 2, 3, 4], [3, 2])
    """

    samples_per_ue: Optional[int] = None

    def __post_init__(self) -> None:
        _require_count("samples_per_ue", self.samples_per_ue)

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        drawn = _draw(len(labels), ues, self.samples_per_ue, rng)
        return [np.sort(part) for part in np.array_split(drawn, ues)]


@dataclass(frozen=True)
class ShardsByLabel(Partition):
    """Samples sorted by label, cut into `ues * shards_per_ue` shards of equal size, dealt at random.

    With few shards a UE sees few classes. Shard sizes differ by one at most.

    Args:
        shards_per_ue: shards that each UE gets, 1 or more.
        samples_per_ue: first draw `ues * samples_per_ue` samples at random, and deal only those; a multiple
            of `shards_per_ue`. All are dealt where it is not given.

    Reference: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data",
    2017, section 3 (100 clients with 2 of 200 shards each).
    """

    shards_per_ue: int = 2
    samples_per_ue: Optional[int] = None

    def __post_init__(self) -> None:
        require(_is_count(self.shards_per_ue), "shards_per_ue", self.shards_per_ue, "a whole number, at least 1")
        _require_count("samples_per_ue", self.samples_per_ue)
        whole = self.samples_per_ue is None or self.samples_per_ue % self.shards_per_ue == 0
        allowed = f"a multiple of shards_per_ue, {self.shards_per_ue}"
        require(whole, "samples_per_ue", self.samples_per_ue, allowed)

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        drawn = np.sort(_draw(len(labels), ues, self.samples_per_ue, rng))
        count = ues * self.shards_per_ue
        allowed = f"at most {len(drawn) // ues}, so that {ues} UEs can share {len(drawn)} samples"
        require(count <= len(drawn), "shards_per_ue", self.shards_per_ue, allowed)
        by_label = drawn[np.argsort(np.asarray(labels)[drawn], kind="stable")]
        shards = np.array_split(by_label, count)
        hands = _shuffled(count, rng).reshape(ues, self.shards_per_ue)
        return [np.sort(np.concatenate([shards[shard] for shard in hand])) for hand in hands]


@dataclass(frozen=True)
class Dirichlet(Partition):
    """Every class is shared out by proportions p ~ Dir(alpha, ..., alpha) over the UEs, drawn for each class.

    Every sample goes to exactly one UE. A small alpha means few classes a UE and unequal sizes, a large one
    is nearly iid. A draw that leaves a UE with fewer than `min_samples` is thrown away; after 100 such draws the
    run ends with a message.

    Args:
        alpha: concentration, above 0, at most 1e9.
        min_samples: fewest samples of any UE, 1 or more.

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
        require(_is_count(self.min_samples), "min_samples", self.min_samples, "a whole number, at least 1")

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        _require_ues(ues, len(labels))
        allowed = f"at most {len(labels) // ues}, so that {ues} UEs can share {len(labels)} samples"
        require(self.min_samples <= len(labels) // ues, "min_samples", self.min_samples, allowed)
        for _ in range(self.DRAWS):
            owner = self._owners(np.asarray(labels), ues, rng)
            sizes = np.bincount(owner, minlength=ues)
            if sizes.min() >= self.min_samples:
                return _parts(owner, sizes)
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
            owner[members[_shuffled(len(members), rng)]] = places
        return owner


@dataclass(frozen=True)
class QuantitySkew(Dirichlet):
    """UEs with unequally many samples of alike content: shares p ~ Dir(alpha, ..., alpha) of all samples.

    Every sample goes to exactly one UE, whatever its class. A small alpha means very unequal sizes. Draws with
    fewer than `min_samples` for a UE are thrown away as under `dirichlet`.

    Args:
        alpha: concentration, above 0, at most 1e9.
        min_samples: fewest samples of any UE, 1 or more.

    Raises:
        UserError: no draw gave every UE enough.

    Reference: Li, Diao, Chen, He, "Federated Learning on Non-IID Data Silos", 2022, section IV-C.
    """

    alpha: float = 0.5

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        return super().split(np.zeros(len(labels), np.int64), ues, rng)


@dataclass(frozen=True)
class LabelsPerUe(Partition):
    """Every UE has samples of exactly so many classes.

    Which UE has which is drawn: the first class of each goes round all classes, so that with as many UEs as
    classes, or more, every class has a UE; its other classes are any. The samples of a class are shared out
    evenly among the UEs that have it; those of a class that no UE has are left out. So sizes differ with the
    number of UEs that share a class. `shards_by_label` has equal sizes in their place.

    Args:
        labels_per_ue: classes of each UE, 1 or more, at most those that the data have.

    Raises:
        UserError: a class has fewer samples than UEs that have it.

    Reference: Li, Diao, Chen, He, "Federated Learning on Non-IID Data Silos", 2022, section IV-A (#C = k).
    """

    labels_per_ue: int = 2

    def __post_init__(self) -> None:
        require(_is_count(self.labels_per_ue), "labels_per_ue", self.labels_per_ue, "a whole number, at least 1")

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        _require_ues(ues, len(labels))
        classes, kind = np.unique(labels, return_inverse=True)
        count = self.labels_per_ue
        require(count <= len(classes), "labels_per_ue", count, f"at most the {len(classes)} classes of the data")
        first = _shuffled(len(classes), rng)[_shuffled(ues, rng) % len(classes)]
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
                shares = np.array_split(members[_shuffled(len(members), rng)], len(holders))
                for ue, share in zip(holders[_shuffled(len(holders), rng)], shares):
                    parts[ue].append(share)
        return [np.sort(np.concatenate(own)) for own in parts]


@dataclass(frozen=True)
class SlidingSlices(Partition):
    """The notes' overlapping slices, a quirk: UE i takes samples i*step ... i*step + length - 1 as stored.

    Neighbours share length - step samples, a slice that runs over the end goes on at the first sample, and
    what no slice reaches is never used; nothing is drawn. So the UEs' data are neither disjoint nor random.
    For disjoint random parts use `iid`. Indices are in the order of the slice.

    Args:
        length: samples of each UE, 2 or more.
        step: samples from the start of one slice to that of the next, from 1 to length - 1.

    >>> [p.tolist() for p in SlidingSlices(length=3, step=2).split(np.zeros(6), 3, np.random.default_rng(0))]
    [[0, 1, 2], [2, 3, 4], [4, 5, 0]]
    """

    length: int = 500
    step: int = 250

    def __post_init__(self) -> None:
        two = _is_count(self.length) and self.length >= 2
        require(two, "length", self.length, "a whole number, at least 2")
        below = _is_count(self.step) and self.step < self.length
        require(below, "step", self.step, f"a whole number from 1 to {self.length - 1}, below length")

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        _require_ues(ues, len(labels))
        require(self.length <= len(labels), "length", self.length, f"at most {len(labels)}, the training samples")
        slice_ = np.arange(self.length, dtype=np.int64)
        return [(ue * self.step + slice_) % len(labels) for ue in range(ues)]


@dataclass(frozen=True)
class Independent(Partition):
    """Every UE draws its samples from all of them, one by one and with replacement, whatever the others hold.

    So there may be more UEs than samples, as where very many UEs are known and few are drawn.

    Args:
        samples_per_ue: samples of each UE, 1 or more; over all UEs at most 10^9.

    >>> [len(part) for part in Independent(samples_per_ue=4).split(np.zeros(2), 3, np.random.default_rng(0))]
    [4, 4, 4]
    """

    samples_per_ue: int = 50

    def __post_init__(self) -> None:
        require(
            _is_count(self.samples_per_ue), "samples_per_ue", self.samples_per_ue, "a whole number, at least 1"
        )

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        require(_is_count(ues), "ues", ues, "a whole number, at least 1")
        allowed = f"at most {MOST_DRAWN // ues}, so that {ues} UEs draw {MOST_DRAWN} samples together"
        require(self.samples_per_ue <= MOST_DRAWN // ues, "samples_per_ue", self.samples_per_ue, allowed)
        drawn = (rng.random((ues, self.samples_per_ue)) * len(labels)).astype(np.int64)
        return list(np.sort(drawn, axis=1))


@dataclass(frozen=True)
class ByUe(Partition):
    """Every UE has the samples that the data name as its own; nothing is drawn.

    Raises:
        UserError: the data do not name UEs, name another number of them, or leave one without a sample.

    >>> owners = np.array([1, 0, 1])
    >>> [part.tolist() for part in ByUe().deal(np.zeros(3), owners, 2, np.random.default_rng(0))]
    [[1], [0, 2]]
    """

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        return self.deal(labels, None, ues, rng)

    def deal(
        self, labels: np.ndarray, owners: Optional[np.ndarray], ues: int, rng: np.random.Generator
    ) -> List[np.ndarray]:
        if owners is None:
            raise BadField("partition.name", "by_ue", "the data do not say which UE has which sample")
        named, sizes = np.unique(owners, return_counts=True)
        gaps = np.flatnonzero(named != np.arange(len(named)))
        if len(gaps):
            raise BadField("partition.name", "by_ue", f"the data have no sample of UE {gaps[0]}")
        require(ues == len(named), "ues", ues, f"{len(named)}, as many as the data have parts by UE")
        return _parts(owners, sizes)


@dataclass(frozen=True)
class FromFile(Partition):
    """Every UE has the training samples that a JSON file names as its own; nothing is drawn.

    The file is `{"0": [5, 2], "1": [3, 4, 0], ...}`: the UEs, counted from 0, in any order, and of each the places
    of its samples among all training samples, counted from 0 as the data have them. `json.dump` writes it of
    the dict from client to indices that NIID-Bench and FedLab have, once its arrays are lists. No sample may stand
    there twice; those that no UE has are left out.

    Args:
        path: the file.

    Raises:
        UserError: no such file, another number of UEs, a UE without a sample, a place that is none or stands there
            twice; one line that names file and UE.
    """

    path: str

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        found = read_json(Path(self.path))
        if not isinstance(found, dict) or set(found) != set(map(str, range(len(found)))):
            raise UserError(f"{self.path}: is no table whose keys are the UEs 0, 1, 2, ...")
        require(ues == len(found), "ues", ues, f"{len(found)}, as many as {self.path} has")
        parts = [self._part(ue, found[str(ue)], len(labels)) for ue in range(ues)]
        rows, owners = np.concatenate(parts), np.repeat(np.arange(ues), [len(part) for part in parts])
        order = np.argsort(rows, kind="stable")
        twice = np.flatnonzero(np.diff(rows[order]) == 0)
        if len(twice):
            one, other = order[twice[0]], order[twice[0] + 1]
            raise UserError(f"{self.path}: UE {owners[other]}: sample {rows[one]} is UE {owners[one]}'s already")
        return parts

    def _part(self, ue: int, places: Any, samples: int) -> np.ndarray:
        where = f"{self.path}: UE {ue}"
        if not isinstance(places, list) or not set(map(type, places)) <= {int}:
            raise UserError(f"{where}: is no list of whole numbers")
        if not places:
            raise UserError(f"{where}: has no sample")
        for place in (min(places), max(places)):
            if not 0 <= place < samples:
                raise UserError(f"{where}: there is no sample {shown(place)}; they are 0 to {samples - 1}")
        return np.sort(np.array(places, np.int64))


@dataclass(frozen=True)
class FeatureNoise(Iid):
    r"""Samples dealt as by `iid`, with Gaussian noise on the images, more of it from UE to UE.

    UE i of n, counted from 0, has noise of mean 0 and variance :math:`\sigma i / n` on each pixel, drawn once for
    the whole run; so UE 0 has none. It is added to images as the data scale them, and nothing is cut off. The test
    images have none; the meter `fairness` measures each UE on its own noisy images.

    Args:
        sigma: of the variance, 0 or more.

    Reference: Li, Diao, Chen, He, "Federated Learning on Non-IID Data Silos", 2022, section IV-B (noise-based
    feature imbalance).
    """

    sigma: float = 0.1

    changes_pixels = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_factor("sigma", self.sigma, or_zero=True)

    def as_held(self, samples: Samples, parts: Sequence[np.ndarray], seed: int) -> Samples:
        images = samples.images.numpy().copy()
        for ue, rows in enumerate(parts):
            deviation = math.sqrt(self.sigma * ue / len(parts))
            drawn = stream(seed, "feature noise", ue).standard_normal((len(rows), *images.shape[1:]))
            images[rows] += (deviation * drawn).astype(np.float32)
        return replace(samples, images=torch.from_numpy(images))


PARTITIONS: Dict[str, Type[Partition]] = {
    "iid": Iid,
    "shards_by_label": ShardsByLabel,
    "dirichlet": Dirichlet,
    "quantity_skew": QuantitySkew,
    "labels_per_ue": LabelsPerUe,
    "sliding_slices": SlidingSlices,
    "independent": Independent,
    "by_ue": ByUe,
    "file": FromFile,
    "feature_noise": FeatureNoise,
}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _require_count(field: str, value: Optional[int]) -> None:
    require(value is None or _is_count(value), field, value, "a whole number, at least 1")


def _require_ues(ues: int, samples: int) -> None:
    allowed = f"a whole number from 1 to {samples}, the training samples"
    require(_is_count(ues) and ues <= samples, "ues", ues, allowed)


def _parts(owners: np.ndarray, sizes: np.ndarray) -> List[np.ndarray]:
    """The indices of each owner's samples, ascending."""
    return np.split(np.argsort(owners, kind="stable"), np.cumsum(sizes)[:-1])


def _shuffled(count: int, rng: np.random.Generator) -> np.ndarray:
    return np.argsort(rng.random(count), kind="stable")


def _draw(samples: int, ues: int, per_ue: Optional[int], rng: np.random.Generator) -> np.ndarray:
    """Indices of the samples to deal, in random order: all, or `per_ue` for each UE."""
    _require_ues(ues, samples)
    allowed = f"at most {samples // ues}, so that {ues} UEs can share {samples} samples"
    require(per_ue is None or per_ue <= samples // ues, "samples_per_ue", per_ue, allowed)
    return _shuffled(samples, rng)[: None if per_ue is None else ues * per_ue]


def _proportions(alpha: float, ues: int, rng: np.random.Generator) -> np.ndarray:
    shares = rng.standard_gamma(alpha, size=ues)
    if not shares.sum() > 0:  # a tiny alpha underflows; its limit is one UE that takes all
        shares = np.arange(ues) == int(rng.random() * ues)
    return shares / shares.sum()
