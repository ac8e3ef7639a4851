"""Compute time: how long a UE trains, in virtual time. One class per rule, one row in the registry below."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, NamedTuple, Optional, Type

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import LARGEST, LONGEST_S, require_factor, require_time
from fl_simu.kernel.randomness import briefly
from fl_simu.ue.work import Work

# With a smaller shape a draw may exceed the range of a float: one in a million is about 1e60 s here.
LEAST_SHAPE = 0.1


class Processor(NamedTuple):
    """The processor of a UE: it works samples * epochs * `cycles_per_sample` / `frequency_hz` s.

    Args:
        cycles_per_sample: cycles of one pass over a sample, at least 0.
        frequency_hz: cycles per second, above 0.
    """

    cycles_per_sample: float
    frequency_hz: float

    def time_s(self, work: Work) -> float:
        """Its time for this work [s]."""
        return self.cycles_per_sample * work.samples * work.epochs / self.frequency_hz


class Compute(ABC):
    """Virtual time from the moment a UE has the global model until it begins to send.

    It is unrelated to the wall-clock time of training on this machine. A rule gives the time of the full work; a
    UE that makes a fraction of its steps takes that fraction of the time.
    """

    @abstractmethod
    def time_s(self, seed: int, ue: int, round: int, work: Work) -> float:
        """Virtual time in s in which UE `ue` does all this work in a round, at least 0 and finite."""

    def processor(self, seed: int, ue: int) -> Optional[Processor]:
        """The processor of UE `ue` in the complete run; None if the rule gives only times."""
        return None


@dataclass(frozen=True)
class ConstantCompute(Compute):
    """Every UE takes the same time in every round.

    Args:
        seconds: compute time in s, 0 or more.
    """

    seconds: float = 1.0

    def __post_init__(self) -> None:
        require_time("seconds", self.seconds, or_zero=True)

    def time_s(self, seed: int, ue: int, round: int, work: Work) -> float:
        return self.seconds


@dataclass(frozen=True)
class UniformCompute(Compute):
    """A time drawn uniformly from an interval.

    Args:
        low_s: shortest time in s, 0 or more.
        high_s: longest time in s, `low_s` or more.
        per_round: whether to draw again in each round; otherwise each UE keeps one speed for the complete run.
    """

    low_s: float = 0.5
    high_s: float = 1.5
    per_round: bool = True

    def __post_init__(self) -> None:
        require_time("low_s", self.low_s, or_zero=True)
        require(
            self.low_s <= self.high_s <= LONGEST_S, "high_s", self.high_s, f"at least low_s, at most {LONGEST_S:g}"
        )

    def time_s(self, seed: int, ue: int, round: int, work: Work) -> float:
        draw = briefly(seed, "compute", ue, round if self.per_round else 0).random()
        return self.low_s + (self.high_s - self.low_s) * draw


@dataclass(frozen=True)
class ParetoCompute(Compute):
    """Stragglers: a heavy-tailed time, P(time > t) = (least_s / t)^shape for t above `least_s`.

    Args:
        least_s: shortest time in s, above 0.
        shape: tail index, 0.1 or more; the mean is shape / (shape - 1) least_s for a shape above 1, and infinite
            up to 1.
        per_round: whether to draw again in each round; otherwise each UE keeps one speed for the complete run.
    """

    least_s: float = 0.5
    shape: float = 2.0
    per_round: bool = True

    def __post_init__(self) -> None:
        require_time("least_s", self.least_s)
        require(LEAST_SHAPE <= self.shape <= LARGEST, "shape", self.shape, f"{LEAST_SHAPE} to {LARGEST:g}")

    def time_s(self, seed: int, ue: int, round: int, work: Work) -> float:
        draw = briefly(seed, "compute", ue, round if self.per_round else 0).random()
        return float(self.least_s * (1 - draw) ** (-1 / self.shape))


@dataclass(frozen=True)
class CyclesCompute(Compute):
    r"""The time that a processor needs for the work; each UE keeps one frequency for the complete run.

    .. math:: t = C D E_p / f

    Here C is the number of cycles per sample, D the number of samples, E_p the number of epochs and f the UE's
    frequency, which is drawn uniformly. For frequencies from a to b, the mean of 1 / f over UEs is ln(b / a) / (b
    - a). The meter `energy` takes C and f from here.

    Args:
        cycles_per_sample: C, at least 0.
        low_hz: lowest frequency in Hz, above 0.
        high_hz: highest frequency in Hz, `low_hz` or more; if both are equal, all UEs have the same frequency.

    Reference: Tran, Bao, Zomaya, Nguyen, Hong 2019, "Federated Learning over Wireless Networks: Optimization Model
    Design and Analysis".
    """

    cycles_per_sample: float = 2e4
    low_hz: float = 1e9
    high_hz: float = 2e9

    def __post_init__(self) -> None:
        require_factor("cycles_per_sample", self.cycles_per_sample, or_zero=True)
        require_factor("low_hz", self.low_hz)
        require(
            self.low_hz <= self.high_hz <= LARGEST,
            "high_hz",
            self.high_hz,
            f"at least low_hz, at most {LARGEST:g}",
        )

    def time_s(self, seed: int, ue: int, round: int, work: Work) -> float:
        return self.processor(seed, ue).time_s(work)

    def processor(self, seed: int, ue: int) -> Processor:
        draw = float(briefly(seed, "compute", ue).random())
        return Processor(self.cycles_per_sample, self.low_hz + (self.high_hz - self.low_hz) * draw)


COMPUTES: Dict[str, Type[Compute]] = {
    "constant": ConstantCompute,
    "uniform": UniformCompute,
    "pareto": ParetoCompute,
    "cycles": CyclesCompute,
}
