"""Faults: whether a UE takes part in a round that it was drawn for. One class a kind, one row below."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, Type

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_share
from fl_simu.kernel.randomness import briefly


class Faults(ABC):
    """Which UEs fail in which rounds.

    A UE that fails neither trains nor sends in that round; where the downlink is not free, its copy of the model
    is sent all the same. Protocols that would wait for it for ever are refused.
    """

    @abstractmethod
    def works(self, seed: int, ue: int, round: int) -> bool:
        """Whether UE `ue` takes part in the round that starts from version `round`."""


@dataclass(frozen=True)
class NoFaults(Faults):
    """Every UE always takes part."""

    def works(self, seed: int, ue: int, round: int) -> bool:
        return True


@dataclass(frozen=True)
class Dropout(Faults):
    """Each UE drops out of each round with the same chance, whatever it did before.

    Args:
        rate: that chance, 0 or more and below 1.
    """

    rate: float = 0.1

    def __post_init__(self) -> None:
        require_share("rate", self.rate)

    def works(self, seed: int, ue: int, round: int) -> bool:
        return bool(briefly(seed, "faults", ue, round).random() >= self.rate)


@dataclass(frozen=True)
class Crash(Faults):
    """A UE that works may crash before a round, and one that is down may return.

    In the long run a UE works for the share return_rate / (crash_rate + return_rate) of the rounds.

    Args:
        crash_rate: chance of a working UE to crash before a round, 0 or more and below 1.
        return_rate: chance of a crashed UE to be back before a round, above 0 and at most 1.
    """

    crash_rate: float = 0.05
    return_rate: float = 0.5

    def __post_init__(self) -> None:
        require_share("crash_rate", self.crash_rate)
        require(0 < self.return_rate <= 1, "return_rate", self.return_rate, "above 0 and at most 1")

    def works(self, seed: int, ue: int, round: int) -> bool:
        # From this round back to one whose draw leaves a UE that works and one that is down in the same state.
        outcomes = []
        for earlier in range(round, -1, -1):
            draw = briefly(seed, "faults", ue, earlier).random()
            outcomes.append((draw < self.return_rate, draw >= self.crash_rate))
            if outcomes[-1][0] == outcomes[-1][1]:
                break
        works = True
        for when_down, when_working in reversed(outcomes):
            works = when_working if works else when_down
        return bool(works)


FAULTS: Dict[str, Type[Faults]] = {"none": NoFaults, "dropout": Dropout, "crash": Crash}
