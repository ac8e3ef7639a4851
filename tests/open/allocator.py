"""An allocator: shares in proportion to the remaining load."""

from dataclasses import dataclass

from fl_simu.radio.allocation.base import Allocator


@dataclass(frozen=True)
class ByLoad(Allocator):
    """A UE with more left to send gets more of the band.

    Args:
        least: the load in Mbit that each UE counts as having at least.
    """

    least: float = 0.001

    def shares(self, loads_mbit, rates_mbps):
        counted = {ue: max(load, self.least) for ue, load in loads_mbit.items()}
        return {ue: load / sum(counted.values()) for ue, load in counted.items()}
