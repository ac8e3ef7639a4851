"""Allocators that let some UEs send before others."""

import math
from dataclasses import dataclass
from typing import Dict, Mapping

from fl_simu.kernel.errors import require
from fl_simu.radio.allocation.base import LINEAR, Allocator, Sending
from fl_simu.radio.allocation.spectrum import Spectrum

ORDERS = ("shortest", "joined")


@dataclass(frozen=True)
class Tdma(Allocator):
    r"""One UE after the other, each with the complete band.

    The UE with the shortest remaining time, L / r at the current rate, goes first: averaged over the UEs present,
    no order ends earlier. A UE that starts with a shorter time than the remaining time of another interrupts it.
    So with a wider band a single upload may end later, because another one is then short enough to go first. In
    the order of joining no UE is interrupted. A UE in outage comes last under "shortest", and blocks the others
    under "joined".

    An upload begins when its UE joins the queue: its delay includes the wait, its airtime does not.

    Args:
        order: which UE goes first: "shortest", or "joined" for the one that started first.

    Reference: Schrage 1968, "A Proof of the Optimality of the Shortest Remaining Processing Time Discipline".
    """

    order: str = "shortest"

    def __post_init__(self) -> None:
        require(self.order in ORDERS, "order", self.order, "one of " + ", ".join(ORDERS))

    def shares(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        def left_s(ue: int) -> float:
            if self.order == "joined":
                return 0.0
            return loads_mbit[ue] / rates_mbps[ue] if rates_mbps[ue] else math.inf

        # In a tie, the first one, which joined before the others.
        first = min(loads_mbit, key=left_s)
        return {ue: float(ue == first) for ue in loads_mbit}


@dataclass(frozen=True)
class BaseFirst(Allocator):
    """The base layers of all UEs before the enhancements of any.

    While a sending UE has not sent its base, all such UEs share the band equally and the others wait, even if a UE
    starts while others send enhancements. Then all share the band equally for their enhancements. With a codec of
    one layer this is `equal`.
    """

    def shares(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        return self.divide({ue: Sending((load,), 0, rates_mbps[ue]) for ue, load in loads_mbit.items()})

    def divide(self, senders: Mapping[int, Sending], spectrum: Spectrum = LINEAR) -> Dict[int, float]:
        first = [ue for ue, one in senders.items() if not one.arrived] or list(senders)
        return {**dict.fromkeys(senders, 0.0), **dict.fromkeys(first, 1 / len(first))}
