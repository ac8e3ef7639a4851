"""A protocol: wait until a share of the UEs has answered."""

from dataclasses import dataclass

from fl_simu.station.protocols.in_rounds import InRounds


@dataclass(frozen=True)
class Quorum(InRounds):
    """Aggregate as soon as a share of the round's uploads is complete, and give up the others.

    Args:
        share: above 0, at most 1.
    """

    share: float = 0.6

    def enough(self, state):
        return state.complete >= self.share * len(state.ues)

    def takes(self, standing):
        return standing.complete
