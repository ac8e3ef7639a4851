"""Shares that follow what is left to send."""

from dataclasses import dataclass
from typing import Dict, Mapping

from fl_simu.radio.allocation.base import Allocator, in_proportion


@dataclass(frozen=True)
class Proportional(Allocator):
    r"""In proportion to what is left to send, whatever the rates.

    .. math:: s_i = L_i / \sum_j L_j

    L is the load of all layers that have not arrived. Where the rates are equal all finish together; where they
    are not, a slow UE finishes later. `min_max_delay` counts the rates too.
    """

    def shares(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        return in_proportion(loads_mbit)


@dataclass(frozen=True)
class MinMaxDelay(Allocator):
    r"""The latest of those who are sending finishes as early as can be: all finish together.

    .. math:: s_i = \frac{L_i / r_i}{\sum_j L_j / r_j}, \quad T = \sum_j L_j / r_j

    L is the load of all layers that have not arrived and r the rate with the whole band, at the moment of
    dividing; they finish after T if nobody comes or goes and the rates stay. With a share s a UE has the rate s r,
    so that nothing is gained by sending side by side: `equal` and `tdma`, divided anew whenever somebody ends, use
    all of the band too, and their last upload ends after the same T. What differs is when the others end.

    Who is in outage at that moment waits until the band is divided anew, unless all are: then in proportion to the
    loads.

    Reference: Z. Yang, Chen, Saad, Hong, Shikh-Bahaei 2021, "Energy Efficient Federated Learning Over Wireless
    Communication Networks", which minimises the delay by bisection.
    """

    def shares(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        if not any(rates_mbps.values()):
            return in_proportion(loads_mbit)
        times_s = {ue: load / rates_mbps[ue] if rates_mbps[ue] else 0.0 for ue, load in loads_mbit.items()}
        return in_proportion(times_s)
