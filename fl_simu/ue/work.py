"""Local work: how many of its steps a UE makes in a round. One class per rule, one row in the registry below."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, NamedTuple, Tuple, Type

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_count, require_time
from fl_simu.kernel.randomness import briefly

MOST_EPOCHS = 10**6
# Relative excess over the time budget that counts as rounding.
ROUNDING = 1e-12


class Work(NamedTuple):
    """The training of a UE in a round.

    Args:
        samples: number of its samples.
        epochs: passes over them; fractional according to the steps if it is a part of the full work.
        steps: total number of batches.
    """

    samples: int
    epochs: float
    steps: int


class LocalWork(ABC):
    """How many local steps a UE makes in a round.

    The full work is `training.epochs` passes over the UE's samples. A UE that makes a fraction of its steps takes
    that fraction of its compute time and of its training energy; twice the steps take twice as much.
    """

    @abstractmethod
    def steps(self, seed: int, ue: int, round: int, full: Work, step_s: float, waited_s: float) -> int:
        """Number of steps, at least 1.

        Args:
            seed, ue, round: the key of draws.
            full: the full work of this UE, at least one step.
            step_s: compute time of one step [s].
            waited_s: time from the broadcast until the UE has the global model [s]; infinite if it never has.
        """


@dataclass(frozen=True)
class FullWork(LocalWork):
    """Every UE makes all steps of `training.epochs` passes."""

    def steps(self, seed: int, ue: int, round: int, full: Work, step_s: float, waited_s: float) -> int:
        return full.steps


@dataclass(frozen=True)
class FixedWork(LocalWork):
    """Each UE makes its own fixed number of passes in every round, instead of `training.epochs`.

    Args:
        epochs: number of passes of UE 0, 1, ..., each 1 or more; the list is repeated for further UEs.
    """

    epochs: Tuple[int, ...] = (1, 2, 5)

    def __post_init__(self) -> None:
        require(bool(self.epochs), "epochs", self.epochs, "at least one number")
        for epochs in self.epochs:
            require_count("epochs", epochs, most=MOST_EPOCHS)

    def steps(self, seed: int, ue: int, round: int, full: Work, step_s: float, waited_s: float) -> int:
        return _whole_epochs(full, self.epochs[ue % len(self.epochs)])


@dataclass(frozen=True)
class UniformWork(LocalWork):
    """A number of passes drawn uniformly, instead of `training.epochs`; for all UEs or some.

    With `share` 0.9, `low` 1 and `high` = `training.epochs` this gives the stragglers of the FedProx paper: in a
    round each UE is a straggler with probability 0.9, and uploads the work that it has done; the others do all of
    it.

    Args:
        low: smallest number of passes, 1 or more.
        high: largest number of passes, `low` or more.
        share: probability that a UE's number is drawn, 0 to 1; otherwise it makes `training.epochs` passes.
        per_round: whether to draw again in each round; otherwise each UE keeps one number for the complete run.

    Reference: Wang, Liu, Liang, Joshi, Poor 2020, "Tackling the Objective Inconsistency Problem in Heterogeneous
    Federated Optimization"; Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith 2020, "Federated Optimization in
    Heterogeneous Networks".
    """

    low: int = 1
    high: int = 5
    share: float = 1.0
    per_round: bool = True

    def __post_init__(self) -> None:
        require_count("low", self.low, most=MOST_EPOCHS)
        require_count("high", self.high, most=MOST_EPOCHS)
        require(self.low <= self.high, "high", self.high, "at least low")
        require(0 <= self.share <= 1, "share", self.share, "0 to 1")

    def steps(self, seed: int, ue: int, round: int, full: Work, step_s: float, waited_s: float) -> int:
        drawn, place = briefly(seed, "work", ue, round if self.per_round else 0).random(2)
        if drawn >= self.share:
            return full.steps
        return _whole_epochs(full, self.low + int(place * (self.high - self.low + 1)))


@dataclass(frozen=True)
class TimeBudget(LocalWork):
    """As many steps as fit into a time, at most `training.epochs` passes, so that slow UEs meet a deadline.

    The time counts from the broadcast, as does the deadline of the protocol `deadline`: the download and the
    training must fit. The time that remains until the deadline is for the upload. A UE with no time for a single
    step makes one.

    Args:
        seconds: time budget in s, above 0.
    """

    seconds: float = 1.0

    def __post_init__(self) -> None:
        require_time("seconds", self.seconds)

    def steps(self, seed: int, ue: int, round: int, full: Work, step_s: float, waited_s: float) -> int:
        left_s = (self.seconds - waited_s) * (1 + ROUNDING)
        if full.steps * step_s <= left_s:
            return full.steps
        return max(1, math.floor(left_s / step_s)) if left_s > 0 else 1


def _whole_epochs(full: Work, epochs: int) -> int:
    return epochs * round(full.steps / full.epochs)


WORKS: Dict[str, Type[LocalWork]] = {
    "full": FullWork,
    "fixed": FixedWork,
    "uniform": UniformWork,
    "time_budget": TimeBudget,
}
