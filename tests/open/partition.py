"""A partition: the first UE has half of all samples."""

from dataclasses import dataclass

import numpy as np

from fl_simu.ue.partition import Partition


@dataclass(frozen=True)
class OneRich(Partition):
    """The first UE has a share of all samples, the others the rest in equal parts.

    Args:
        share: of the first UE, above 0 and below 1.
    """

    share: float = 0.5

    def split(self, labels, ues, rng):
        order = np.argsort(rng.random(len(labels)))
        cut = int(self.share * len(labels))
        return [np.sort(part) for part in (order[:cut], *np.array_split(order[cut:], ues - 1))]
