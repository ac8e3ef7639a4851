"""A loss: bursts destroy layers at random."""

from dataclasses import dataclass

from fl_simu.radio.losses import Carried, Loss


@dataclass(frozen=True)
class Bursts(Loss):
    """A burst hits one layer in `every`; that layer is sent twice and is lost.

    Args:
        every: 2 or more.
    """

    every: int = 5

    def carry(self, size_bits, draws):
        hit = draws.random() * self.every < 1
        return Carried(2 * size_bits if hit else size_bits, not hit)
