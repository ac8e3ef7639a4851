"""Schedules: the learning rate of a UE's optimiser over rounds. One class each, one row in the registry below."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, Type

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_count, require_factor


class Schedule(ABC):
    """Factor on the learning rate of local training, round by round.

    The round number t is that of the global model that a UE trains from: the number of aggregations before it,
    counted from 0. All steps of a UE in a round use the same learning rate.
    """

    @abstractmethod
    def factor(self, round: int) -> float:
        """The factor in a round, at least 0 and finite."""


@dataclass(frozen=True)
class Constant(Schedule):
    """The same learning rate in every round."""

    def factor(self, round: int) -> float:
        return 1.0


@dataclass(frozen=True)
class Steps(Schedule):
    """Step decay: gamma^floor(t / every) in round t (torch's StepLR).

    Args:
        every: number of rounds between two decays, 1 or more.
        gamma: factor of one decay, above 0 and at most 1.
    """

    every: int = 30
    gamma: float = 0.1

    def __post_init__(self) -> None:
        require_count("every", self.every)
        require(0 < self.gamma <= 1, "gamma", self.gamma, "above 0 and at most 1")

    def factor(self, round: int) -> float:
        return float(self.gamma ** (round // self.every))


@dataclass(frozen=True)
class Exponential(Schedule):
    """Exponential decay: gamma^t in round t (torch's ExponentialLR).

    Args:
        gamma: factor per round, above 0 and at most 1.
    """

    gamma: float = 0.99

    def __post_init__(self) -> None:
        require(0 < self.gamma <= 1, "gamma", self.gamma, "above 0 and at most 1")

    def factor(self, round: int) -> float:
        return float(self.gamma**round)


@dataclass(frozen=True)
class Inverse(Schedule):
    """1 / (1 + decay t) in round t; FedAvg then converges to the optimum of strongly convex losses.

    Args:
        decay: decay rate, 0 or more.

    Reference: Li, Huang, Yang, Wang, Zhang 2020, "On the Convergence of FedAvg on Non-IID Data".
    """

    decay: float = 0.1

    def __post_init__(self) -> None:
        require_factor("decay", self.decay, or_zero=True)

    def factor(self, round: int) -> float:
        return 1 / (1 + self.decay * round)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 to `least` over `rounds` rounds, then `least` (torch's CosineAnnealingLR).

    Args:
        rounds: number of rounds, 1 or more. It is independent of the experiment's `rounds`, so that a run resumed
            with more rounds has the same learning rates as a run that had them from the start.
        least: the last factor, 0 to 1.
    """

    rounds: int = 100
    least: float = 0.0

    def __post_init__(self) -> None:
        require_count("rounds", self.rounds)
        require(0 <= self.least <= 1, "least", self.least, "0 to 1")

    def factor(self, round: int) -> float:
        passed = min(round / self.rounds, 1.0)
        return self.least + (1 - self.least) * (1 + math.cos(math.pi * passed)) / 2


SCHEDULES: Dict[str, Type[Schedule]] = {
    "constant": Constant,
    "step": Steps,
    "exponential": Exponential,
    "inverse": Inverse,
    "cosine": Cosine,
}
