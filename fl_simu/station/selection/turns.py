"""Round robin."""

from dataclasses import dataclass
from typing import Any, Tuple

from fl_simu.station.selection.base import Selection, View


@dataclass(frozen=True)
class RoundRobin(Selection):
    """One UE after the other in numerical order, from UE 0 on; a UE that is not idle is skipped.

    The state is the UE whose turn is next.

    Reference: Yang, Liu, Quek, Poor 2020, "Scheduling Policies for Federated Learning in Wireless Networks".
    """

    def start(self) -> int:
        return 0

    def choose(self, state: Any, view: View, free: int) -> Tuple[Any, Tuple[int, ...]]:
        ues = len(view.samples)
        in_turn = sorted(view.idle, key=lambda ue: (ue - state) % ues)[:free]
        return ((in_turn[-1] + 1) % ues if in_turn else state), tuple(in_turn)
