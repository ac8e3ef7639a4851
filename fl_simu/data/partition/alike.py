"""Partitions in which every UE has samples of all kinds."""

import math
from dataclasses import dataclass, replace
from typing import List, Optional, Sequence

import numpy as np
import torch

from fl_simu.data.datasets import Samples
from fl_simu.data.partition.base import Partition, draw, is_count, require_count
from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_factor
from fl_simu.kernel.randomness import stream

# As many indices take 8 GB.
MOST_DRAWN = 10**9


@dataclass(frozen=True)
class Iid(Partition):
    """Each UE gets a random part of all samples; the parts are disjoint.

    Sizes differ by one at most, and the first UEs have the larger parts.

    Args:
        samples_per_ue: number of samples of each UE, with the rest unused; 1 or more, as far as the data suffice.
            If not given, all samples are distributed.

    >>> parts = Iid().split(np.zeros(5), 2, np.random.default_rng(0))
    >>> sorted(np.concatenate(parts).tolist()), [len(part) for part in parts]
    ([0, 1, 2, 3, 4], [3, 2])
    """

    samples_per_ue: Optional[int] = None

    def __post_init__(self) -> None:
        require_count("samples_per_ue", self.samples_per_ue)

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        drawn = draw(len(labels), ues, self.samples_per_ue, rng)
        return [np.sort(part) for part in np.array_split(drawn, ues)]


@dataclass(frozen=True)
class Independent(Partition):
    """Each UE draws its samples from all of them with replacement, independently of the other UEs.

    So there may be more UEs than samples, as in a large population from which few UEs are selected.

    Args:
        samples_per_ue: number of samples of each UE, 1 or more; over all UEs at most 10^9.

    >>> [len(part) for part in Independent(samples_per_ue=4).split(np.zeros(2), 3, np.random.default_rng(0))]
    [4, 4, 4]
    """

    samples_per_ue: int = 50

    def __post_init__(self) -> None:
        require(is_count(self.samples_per_ue), "samples_per_ue", self.samples_per_ue, "a whole number, at least 1")

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        require(is_count(ues), "ues", ues, "a whole number, at least 1")
        allowed = f"at most {MOST_DRAWN // ues}, so that {ues} UEs draw {MOST_DRAWN} samples together"
        require(self.samples_per_ue <= MOST_DRAWN // ues, "samples_per_ue", self.samples_per_ue, allowed)
        drawn = (rng.random((ues, self.samples_per_ue)) * len(labels)).astype(np.int64)
        return list(np.sort(drawn, axis=1))


@dataclass(frozen=True)
class FeatureNoise(Iid):
    r"""Samples distributed as by `iid`, with Gaussian noise on the images that grows from UE to UE.

    UE i of n, counted from 0, has noise of mean 0 and variance :math:`\sigma i / n` on each pixel, drawn once for
    the complete run; so UE 0 has none. The noise is added to the images after scaling, without clipping. The test
    images have none; the meter `fairness` measures each UE on its own noisy images.

    Args:
        sigma: :math:`\sigma` of the variance, 0 or more.

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
