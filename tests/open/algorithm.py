"""A local algorithm: plain weight decay towards 0, as a correction of the gradient."""

from dataclasses import dataclass

from fl_simu.ue.algorithms.base import LocalAlgorithm


@dataclass(frozen=True)
class Shrink(LocalAlgorithm):
    """Adds `strength` times the weights to the gradient.

    Args:
        strength: at least 0.
    """

    strength: float = 0.1

    def correction(self, params, start, memory, shared):
        return {name: params[name] * self.strength for name in params}
