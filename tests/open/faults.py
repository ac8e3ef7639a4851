"""Faults: UEs that sleep through some rounds."""

from dataclasses import dataclass

from fl_simu.ue.faults import Faults


@dataclass(frozen=True)
class Sleeping(Faults):
    """Each UE sleeps through one round in `every`, a different one than its neighbours.

    Args:
        every: at least 2.
    """

    every: int = 3

    def works(self, seed, ue, round):
        return (round + ue) % self.every != 0
