"""An allocator: shares in proportion to what is left to send."""

from dataclasses import dataclass

from fl_simu.radio.allocation.base import Allocator


@dataclass(frozen=True)
class ByLoad(Allocator):
    """Who has more to send has more of the band.

    Args:
        least: the load that everybody counts as having at least, in Mbit.
    """

    least: float = 0.001

    def shares(self, loads_mbit, rates_mbps):
        counted = {ue: max(load, self.least) for ue, load in loads_mbit.items()}
        return {ue: load / sum(counted.values()) for ue, load in counted.items()}
