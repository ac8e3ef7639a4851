"""A schedule: the learning rate rises over the first rounds."""

from dataclasses import dataclass

from fl_simu.ue.schedules import Schedule


@dataclass(frozen=True)
class WarmUp(Schedule):
    """From a share of the learning rate to all of it.

    Args:
        rounds: number of rounds until all of it is there, 1 or more.
    """

    rounds: int = 5

    def factor(self, round):
        return min((round + 1) / self.rounds, 1.0)
