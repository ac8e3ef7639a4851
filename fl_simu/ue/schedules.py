"""Schedules: the learning rate of a UE's optimiser over rounds. One class each, one row in the registry below."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, Type

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_count, require_factor


class Schedule(ABC):
    """By what the learning rate of local training is multiplied, round by round.

    A round counts by the global model that a UE trains from: the number of aggregations before it, from 0. All
    steps of a UE's round have the same learning rate.
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
    """A factor after every so many rounds: gamma^floor(t / every) in round t (torch's StepLR).

    Args:
        every: number of rounds, 1 or more.
        gamma: above 0 and at most 1.
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
    """A factor after every round: gamma^t in round t (torch's ExponentialLR).

    Args:
        gamma: above 0 and at most 1.
    """

    gamma: float = 0.99

    def __post_init__(self) -> None:
        require(0 < self.gamma <= 1, "gamma", self.gamma, "above 0 and at most 1")

    def factor(self, round: int) -> float:
        return float(self.gamma**round)


@dataclass(frozen=True)
class Inverse(Schedule):
    """1 / (1 + decay t) in round t, with which FedAvg converges to the optimum of strongly convex losses.

    Args:
        decay: 0 or more.

    Reference: Li, Huang, Yang, Wang, Zhang 2020, "On the Convergence of FedAvg on Non-IID Data".
    """

    decay: float = 0.1

    def __post_init__(self) -> None:
        require_factor("decay", self.decay, or_zero=True)

    def factor(self, round: int) -> float:
        return 1 / (1 + self.decay * round)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine from 1 to `least` in so many rounds, and `least` from then on (torch's CosineAnnealingLR).

    Args:
        rounds: number of rounds, 1 or more. It is of its own, so that a run that is resumed with more rounds goes
            on with the learning rate of one that had them from the start.
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
