"""Local work: a UE makes fewer steps each round, as its battery drains."""

from dataclasses import dataclass

from fl_simu.ue.work import LocalWork


@dataclass(frozen=True)
class Tired(LocalWork):
    """The share `each` of the steps of the previous round, and at least one.

    Args:
        each: above 0, at most 1.
    """

    each: float = 0.9

    def steps(self, seed, ue, round, full, step_s, waited_s):
        return max(1, int(full.steps * self.each**round))
