"""Shares that depend on the remaining loads."""

from dataclasses import dataclass
from typing import Dict, Mapping

from fl_simu.radio.allocation.base import LINEAR, Allocator, Sending
from fl_simu.radio.allocation.spectrum import Spectrum, in_proportion


@dataclass(frozen=True)
class Proportional(Allocator):
    r"""Shares in proportion to the remaining load, whatever the rates.

    .. math:: s_i = L_i / \sum_j L_j

    L is the load of all layers that have not arrived. If the rates are equal, all UEs finish together; otherwise a
    slow UE finishes later. `min_max_delay` takes the rates into account too.
    """

    def shares(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        return in_proportion(loads_mbit)


@dataclass(frozen=True)
class MinMaxDelay(Allocator):
    r"""The last of the sending UEs finishes as early as possible: all finish together.

    .. math:: s_i = \frac{L_i / r_i}{\sum_j L_j / r_j}, \quad T = \sum_j L_j / r_j

    L is the load of all layers that have not arrived, and r the rate with the complete band, when the band is
    divided. The UEs finish after T if none starts or stops and the rates stay. On `shared_band` a share s gives
    the rate s r, so sending in parallel gains nothing: `equal` and `tdma`, divided again whenever an upload ends,
    use the complete band too, and their last upload ends after the same T. The other uploads end at different
    times.

    On `shannon_band` T is found by bisection: the smallest T for which the shares that carry the loads in that
    time are together at most 1. If no UE starts or stops and the rates stay, no other division over time ends
    earlier.

    A UE in outage at that moment waits until the band is divided again. If all UEs are in outage, the shares are
    in proportion to the loads.

    Reference: Z. Yang, Chen, Saad, Hong, Shikh-Bahaei 2021, "Energy Efficient Federated Learning Over Wireless
    Communication Networks", which minimises the delay by bisection.
    """

    def shares(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        return LINEAR.together(loads_mbit, rates_mbps)

    def divide(self, senders: Mapping[int, Sending], spectrum: Spectrum = LINEAR) -> Dict[int, float]:
        loads = {ue: sum(one.left_mbit) for ue, one in senders.items()}
        return spectrum.together(loads, {ue: one.rate_mbps for ue, one in senders.items()})
