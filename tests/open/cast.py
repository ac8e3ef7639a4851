"""A cast: two UEs share a copy."""

from dataclasses import dataclass

from fl_simu.radio.downlink import Cast


@dataclass(frozen=True)
class Pairs(Cast):
    """Neighbouring UEs share a copy.

    Args:
        size: UEs per copy, 1 or more.
    """

    size: int = 2

    def groups(self, ues):
        return [tuple(ues[at : at + self.size]) for at in range(0, len(ues), self.size)]
