"""A compute time that depends on the work: seconds per batch, and some UEs with half the speed."""

from dataclasses import dataclass

from fl_simu.ue.compute import Compute


@dataclass(frozen=True)
class PerBatch(Compute):
    """Every second UE takes twice as long.

    Args:
        batch_s: time of a batch in s.
    """

    batch_s: float = 0.02

    def time_s(self, seed, ue, round, work):
        return self.batch_s * work.steps * (1 + ue % 2)
