"""A schedule: the learning rate rises over the first rounds."""

from dataclasses import dataclass

from fl_simu.ue.schedules import Schedule


@dataclass(frozen=True)
class WarmUp(Schedule):
    """From a share of the learning rate to its full value.

    Args:
        rounds: number of rounds until the full value, 1 or more.
    """

    rounds: int = 5

    def factor(self, round):
        return min((round + 1) / self.rounds, 1.0)
