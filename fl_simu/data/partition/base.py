"""The contract of a partition: how the training samples are distributed among the UEs.

Every partition is a frozen part with one method, `split(labels, ues, rng)`. It returns int64 index arrays into
the training samples, one per UE, none empty. A partition that depends on the UEs that the data name has `deal`
instead. Draws come only from `rng`, as sorted uniform keys rather than by `rng.permutation`, whose numbers numpy
may change. If the samples of a UE differ from the data, for example by its own noise, `as_held` returns them.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, List, Optional, Sequence

import numpy as np

from fl_simu.data.datasets import Samples
from fl_simu.kernel.errors import require


class Partition(ABC):
    """How the training images are distributed among the UEs.

    Class attributes:
        changes_pixels: whether it changes pixels, so that images of characters are refused.
    """

    changes_pixels: ClassVar[bool] = False

    @abstractmethod
    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        """Distribute the samples.

        Args:
            labels: class of each training sample, (N,).
            ues: number of UEs.
            rng: the only source of randomness.

        Returns:
            For each UE, the int64 indices of its samples; never empty, and ascending unless stated otherwise.

        Raises:
            UserError: there are too few samples for this number of UEs.
        """

    def deal(
        self, labels: np.ndarray, owners: Optional[np.ndarray], ues: int, rng: np.random.Generator
    ) -> List[np.ndarray]:
        """`split` for a partition that may use the UEs that the data name; by default it ignores them.

        Args:
            labels, ues, rng: as for `split`.
            owners: the UE of each training sample, int64 (N,), from 0 on; None if the data do not say.

        Returns:
            As for `split`.

        Raises:
            UserError: as for `split`, or `owners` are missing or do not fit.
        """
        return self.split(labels, ues, rng)

    def as_held(self, samples: Samples, parts: Sequence[np.ndarray], seed: int) -> Samples:
        """The training samples that the UEs have; by default unchanged.

        The UEs train on these samples, and measurements on their own samples use them too. The test set does not
        change.

        Args:
            samples: the samples of all UEs; not changed.
            parts: the result of the partition.
            seed: seed of the experiment, for `stream`.

        Returns:
            The same number of samples, in the same order and of the same shape.
        """
        return samples


def is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def require_ues(ues: int, samples: int) -> None:
    allowed = f"a whole number from 1 to {samples}, the training samples"
    require(is_count(ues) and ues <= samples, "ues", ues, allowed)


def parts_of(owners: np.ndarray, sizes: np.ndarray) -> List[np.ndarray]:
    """The indices of each owner's samples, ascending."""
    return np.split(np.argsort(owners, kind="stable"), np.cumsum(sizes)[:-1])


def shuffled(count: int, rng: np.random.Generator) -> np.ndarray:
    return np.argsort(rng.random(count), kind="stable")


def draw(samples: int, ues: int, per_ue: Optional[int], rng: np.random.Generator) -> np.ndarray:
    """Indices of the samples to distribute, in random order: all of them, or `per_ue` for each UE."""
    require_ues(ues, samples)
    allowed = f"at most {samples // ues}, so that {ues} UEs can share {samples} samples"
    require(per_ue is None or per_ue <= samples // ues, "samples_per_ue", per_ue, allowed)
    return shuffled(samples, rng)[: None if per_ue is None else ues * per_ue]


def require_count(field: str, value: Optional[int]) -> None:
    require(value is None or is_count(value), field, value, "a whole number, at least 1")
