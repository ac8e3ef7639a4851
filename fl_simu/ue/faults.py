"""Faults: whether a UE takes part in a round that it was selected for. One class per kind, one row below."""

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, List, NamedTuple, Optional, Sequence, Tuple, Type

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_factor, require_share
from fl_simu.kernel.randomness import briefly, uniforms


class Spent(NamedTuple):
    """What a UE has spent between receiving the model and being settled by the BS.

    Args:
        energy_j: energy for training and sending, according to the meter [J].
        handed_s, now_s: the times at which the UE was handed the model, and now [s].
    """

    energy_j: float
    handed_s: float
    now_s: float


class Faults(ABC):
    """Which UEs fail in which rounds.

    A UE that fails neither trains nor sends in that round. If the downlink is not free, its copy of the model is
    still sent. Protocols that would wait for it for ever are refused.

    Class attributes:
        drains: whether it uses the energy that UEs spend, and keeps a state of each. Otherwise `powered` and
            `spent` are not called.
        state_classes: the named tuples or dataclasses in this state, for a checkpoint.
    """

    drains: ClassVar[bool] = False
    state_classes: ClassVar[Tuple[type, ...]] = ()

    @abstractmethod
    def works(self, seed: int, ue: int, round: int) -> bool:
        """Whether UE `ue` takes part in the round that starts from version `round`."""

    def working(self, seed: int, ues: Sequence[int], round: int) -> np.ndarray:
        """`works` for several UEs, bool of shape (UEs,). A class may override it for speed."""
        return np.array([self.works(seed, ue, round) for ue in ues], dtype=bool)

    def powered(self, seed: int, ue: int, kept: Any, now_s: float) -> bool:
        """Whether a UE has energy to take part. Without energy it fails, whatever `works` returns.

        Args:
            kept: the result of `spent`; None for a UE that was never handed the model.
            now_s: virtual time [s].
        """
        return True

    def spent(self, seed: int, ue: int, kept: Any, spent: Spent) -> Any:
        """The state to keep of a UE that the BS has settled for this time: plain data.

        Args:
            kept: the previous state; not changed.
            spent: what the UE has spent since then.
        """
        return kept


@dataclass(frozen=True)
class NoFaults(Faults):
    """Every UE always takes part."""

    def works(self, seed: int, ue: int, round: int) -> bool:
        return True


@dataclass(frozen=True)
class Dropout(Faults):
    """Each UE drops out of each round with the same probability, independently of earlier rounds.

    Args:
        rate: probability of dropping out, 0 or more and below 1.
    """

    rate: float = 0.1

    def __post_init__(self) -> None:
        require_share("rate", self.rate)

    def works(self, seed: int, ue: int, round: int) -> bool:
        return bool(briefly(seed, "faults", ue, round).random() >= self.rate)

    def working(self, seed: int, ues: Sequence[int], round: int) -> np.ndarray:
        return uniforms(seed, "faults", ues, round) >= self.rate


@dataclass(frozen=True)
class Crash(Faults):
    """A working UE may crash before a round, and a crashed UE may return.

    In the long run a UE works for the share return_rate / (crash_rate + return_rate) of the rounds.

    Args:
        crash_rate: probability that a working UE crashes before a round, 0 or more and below 1.
        return_rate: probability that a crashed UE returns before a round, above 0 and at most 1.
    """

    crash_rate: float = 0.05
    return_rate: float = 0.5

    def __post_init__(self) -> None:
        require_share("crash_rate", self.crash_rate)
        require(0 < self.return_rate <= 1, "return_rate", self.return_rate, "above 0 and at most 1")

    def works(self, seed: int, ue: int, round: int) -> bool:
        # Go back to a round whose draw gives a working UE and a crashed UE the same state, or to the round that
        # was last requested.
        last = _last_asked(self, seed, ue)
        (known, works), outcomes = last[0] if last[0][0] <= round else (-1, True), []
        for earlier in range(round, known, -1):
            draw = briefly(seed, "faults", ue, earlier).random()
            outcomes.append((draw < self.return_rate, draw >= self.crash_rate))
            if outcomes[-1][0] == outcomes[-1][1]:
                break
        for when_down, when_working in reversed(outcomes):
            works = when_working if works else when_down
        last[0] = round, works
        return works


# At most 32 MB.
@functools.lru_cache(maxsize=2**17)
def _last_asked(faults: Crash, seed: int, ue: int) -> List[Tuple[int, bool]]:
    """The last requested round and whether the UE works in it, in a replaceable pair; before round 0 it works."""
    return [(-1, True)]


class Charge(NamedTuple):
    """The charge of a battery at a time.

    Args:
        level_j: energy [J]; negative by the deficit of the last round.
        at_s: this time [s].
    """

    level_j: float
    at_s: float


# A share of a battery below this is a rounding error, so a whole number of equal rounds can empty it.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Battery(Faults):
    r"""Each UE has a battery, and fails while the battery is empty.

    The energy that a UE spends is that of the meter column `energy_j`, which this rule needs. It covers training
    and sending, including uploads that are late. Between and during rounds the battery gains `harvest_w`, up to
    its capacity b:

    .. math:: B \leftarrow \min(b, \min(b, B + h t_i) - E + h t_w), \quad B = b \text{ at first}

    Here t_i is the time in s that the UE was idle, t_w the time in s from then until the BS was done with it, and
    E the energy that it spent during t_w. A UE with any energy left when it receives the model completes the
    round, even if that takes more than it has; it must then first recover the deficit. So without harvesting, a UE
    that spends c in each round takes part in ceil(b / c) rounds. The BS does not know which batteries are empty.
    The meter `battery` reports how many are.

    Args:
        battery_j: mean of b, in J, above 0.
        spread: spread of b over UEs: uniform from battery_j (1 - spread) to battery_j (1 + spread); at least 0 and
            below 1.
        harvest_w: h, in W, at least 0.


    """

    battery_j: float = 100.0
    spread: float = 0.0
    harvest_w: float = 0.0

    drains: ClassVar[bool] = True
    state_classes: ClassVar[Tuple[type, ...]] = (Charge,)

    def __post_init__(self) -> None:
        require_factor("battery_j", self.battery_j)
        require_share("spread", self.spread)
        require_factor("harvest_w", self.harvest_w, or_zero=True)

    def works(self, seed: int, ue: int, round: int) -> bool:
        return True

    def powered(self, seed: int, ue: int, kept: Optional[Charge], now_s: float) -> bool:
        full_j = self.full_j(seed, ue)
        return self.level_j(full_j, kept, now_s) > ROUNDING * full_j

    def spent(self, seed: int, ue: int, kept: Optional[Charge], spent: Spent) -> Charge:
        full_j = self.full_j(seed, ue)
        before = Charge(self.level_j(full_j, kept, spent.handed_s) - spent.energy_j, spent.handed_s)
        return Charge(self.level_j(full_j, before, spent.now_s), spent.now_s)

    def full_j(self, seed: int, ue: int) -> float:
        """The capacity of a UE's battery."""
        if not self.spread:
            return self.battery_j
        return float(self.battery_j * (1 + self.spread * (2 * briefly(seed, "battery", ue).random() - 1)))

    def level_j(self, full_j: float, charge: Optional[Charge], now_s: float) -> float:
        """The charge of a battery now, if nothing was taken since."""
        if charge is None:
            return full_j
        return min(full_j, charge.level_j + self.harvest_w * (now_s - charge.at_s))


FAULTS: Dict[str, Type[Faults]] = {"none": NoFaults, "dropout": Dropout, "crash": Crash, "battery": Battery}
