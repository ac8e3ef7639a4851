"""A loss: small layers pass, large ones are lost in bursts."""

from dataclasses import dataclass

from fl_simu.radio.losses import Carried, Loss


@dataclass(frozen=True)
class Bursts(Loss):
    """One layer in so many is hit by a burst and lost; one that is hit goes on the air twice.

    Args:
        every: 2 or more.
    """

    every: int = 5

    def carry(self, size_bits, draws):
        hit = draws.random() * self.every < 1
        return Carried(2 * size_bits if hit else size_bits, not hit)
