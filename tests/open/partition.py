"""A partition: the first UE has half of all samples."""

from dataclasses import dataclass

import numpy as np

from fl_simu.data.partition import Partition
from fl_simu.kernel.errors import require


@dataclass(frozen=True)
class OneRich(Partition):
    """The first UE has a share of all samples; the others have equal parts of the rest.

    Args:
        share: share of the first UE, above 0 and below 1.
    """

    share: float = 0.5

    def split(self, labels, ues, rng):
        order = np.argsort(rng.random(len(labels)))
        cut = int(self.share * len(labels))
        enough = cut >= 1 and 1 <= ues - 1 <= len(labels) - cut
        require(enough, "ues", ues, f"at least 2, and {len(labels)} samples for each to get one")
        return [np.sort(part) for part in (order[:cut], *np.array_split(order[cut:], ues - 1))]
