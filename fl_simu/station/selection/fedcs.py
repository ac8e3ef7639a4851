"""FedCS: as many UEs as finish before a deadline."""

import math
from dataclasses import dataclass
from typing import Any, List, Tuple

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_time
from fl_simu.kernel.randomness import briefly, permutation
from fl_simu.station.selection.base import Selection, View


@dataclass(frozen=True)
class FedCs(Selection):
    r"""UEs are added one by one, each time the one that prolongs the round least, until a deadline.

    The UEs train in parallel and send one after the other:

    .. math:: T_j = T_{j-1} + t^{up} + \max(0, t^{train} - T_{j-1}), \quad T_0 = 0

    The candidates are a random part of the idle UEs. They report their training times to the BS, and it divides
    the size of an upload by the rate that it measures for each. The download is not counted. At least one UE is
    selected.

    Args:
        deadline_s: deadline for T in s, above 0.
        share: share of the idle UEs that are candidates, above 0 and at most 1, rounded up.

    Reference: Nishio, Yonetani 2019, "Client Selection for Federated Learning with Heterogeneous Resources in
    Mobile Edge".
    """

    deadline_s: float = 180.0
    share: float = 0.1

    def __post_init__(self) -> None:
        require_time("deadline_s", self.deadline_s)
        require(0 < self.share <= 1, "share", self.share, "above 0 and at most 1")

    def choose(self, state: Any, view: View, free: int) -> Tuple[Any, Tuple[int, ...]]:
        drawn = permutation(briefly(view.seed, "candidates", round=view.version), len(view.idle)).tolist()
        left = [view.idle[place] for place in drawn[: math.ceil(self.share * len(drawn))]]
        uploads, trainings = ({ue: tell(ue) for ue in left} for tell in (view.upload_s, view.compute_s))
        chosen: List[int] = []
        length_s = 0.0
        while left and len(chosen) < free:
            longer = {ue: uploads[ue] + max(0.0, trainings[ue] - length_s) for ue in left}
            best = min(left, key=lambda ue: longer[ue])
            if chosen and length_s + longer[best] >= self.deadline_s:
                break
            chosen.append(best)
            left.remove(best)
            length_s += longer[best]
        return state, tuple(chosen)
