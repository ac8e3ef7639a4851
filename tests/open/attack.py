"""An attack: a malicious UE sends back the global model that it was handed, moved the wrong way."""

from dataclasses import dataclass

from fl_simu.attacks.poisoning.base import Hostile, moved, update_of


@dataclass(frozen=True)
class Mirror(Hostile):
    """The benign update, reversed and scaled.

    Args:
        malicious: number of malicious UEs, the last ones.
        factor: scale of its length.
    """

    factor: float = 3.0

    def poison(self, knowledge):
        update = update_of(knowledge.benign(), knowledge.params)
        return moved(knowledge.params, update, -self.factor)
