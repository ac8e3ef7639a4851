"""Adaptive bits: more with each upload."""

from dataclasses import dataclass

from fl_simu.radio.bits import BitRule


@dataclass(frozen=True)
class Rising(BitRule):
    """One bit more with each upload of a UE.

    Args:
        first: bits of the first upload.
        most: upper bound, at most 16.
    """

    first: int = 2
    most: int = 6

    def choose(self, outlook):
        return min(self.first + outlook.memory.uploads, self.most)
