"""Protocols: whom the BS waits for, and what it takes.

A protocol is a frozen dataclass with one pure method, `on(state, event) -> (state, actions)`. It never sees a
model: it is told what arrived and when, and answers with what the BS shall do. Its state is plain data, so that a
test can feed it a table of events and a checkpoint can hold it.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar, Dict, Tuple, Type

from fl_simu.kernel.errors import require
from fl_simu.kernel.messages import (
    Action,
    Aggregate,
    Broadcast,
    Event,
    LayerArrived,
    Ready,
    Taken,
    UploadRefused,
    UploadStarted,
    WakeAt,
    Woke,
)

Actions = Tuple[Action, ...]


@dataclass(frozen=True)
class Round:
    """Where one round stands.

    Args:
        version: version of the global model that the round started from; -1 before the first round.
        ues: the UEs of the round.
        waiting: UEs that the BS has not decided on.
        started_s: for each UE that began to send, when it did.
        arrived: for each UE, how many of its layers arrived whole before the BS decided on it.
        layers: number of layers that a complete upload has; 0 until the first layer has arrived.
    """

    version: int = -1
    ues: Tuple[int, ...] = ()
    waiting: Tuple[int, ...] = ()
    started_s: Dict[int, float] = field(default_factory=dict)
    arrived: Dict[int, int] = field(default_factory=dict)
    layers: int = 0

    def close(self) -> Aggregate:
        """Take what has arrived, in the order of the UEs; reject the rest."""
        taken = tuple(Taken(ue, self.arrived[ue]) for ue in sorted(self.arrived))
        return Aggregate(taken, tuple(ue for ue in self.ues if ue not in self.arrived))


class Protocol(ABC):
    """A protocol in rounds: hand the model to the drawn UEs, decide on each, aggregate when all are decided.

    A subclass says when a UE is decided (`decided`) and which timers it needs (`round_timer`, `upload_timers`).
    What arrives after the BS has decided on a UE is not taken.
    """

    state_classes: ClassVar[Tuple[type, ...]] = (Round,)

    def start(self) -> Round:
        """The state before the first event."""
        return Round()

    @abstractmethod
    def decided(self, state: Round, ue: int, now_s: float) -> bool:
        """Whether the BS waits no longer for this UE; what has arrived of it, if anything, is taken."""

    def round_timer(self, now_s: float) -> float:
        """When the BS stops waiting for everyone; infinity for never."""
        return math.inf

    def upload_timers(self, started_s: float) -> Tuple[float, ...]:
        """Times at which the BS looks again at a UE that began to send at `started_s`."""
        return ()

    def thresholds_s(self) -> Dict[str, float]:
        """Thresholds on the delay of an upload, by name, for figures."""
        return {}

    def on(self, state: Round, event: Event) -> Tuple[Round, Actions]:
        """Take one event; return the new state and what the BS does now."""
        if isinstance(event, Ready):
            return self._open(event)
        if event.version != state.version:
            return state, ()
        if isinstance(event, Woke) and event.ue < 0 and state.waiting:
            return replace(state, waiting=()), (state.close(),)
        if event.ue not in state.waiting:
            return state, ()
        if isinstance(event, UploadStarted):
            state = replace(state, started_s={**state.started_s, event.ue: event.time_s})
            times = self.upload_timers(event.time_s)
            return state, tuple(WakeAt(time, state.version, event.ue) for time in times if time < math.inf)
        if isinstance(event, LayerArrived):
            arrived = {**state.arrived, event.ue: event.layer + 1}
            state = replace(state, arrived=arrived, layers=event.layers)
        refused = isinstance(event, UploadRefused)
        if refused or self.decided(state, event.ue, event.time_s):
            return self._close(state, event.ue)
        return state, ()

    def _open(self, event: Ready) -> Tuple[Round, Actions]:
        timer = self.round_timer(event.time_s)
        actions: Actions = (Broadcast(event.ues),)
        if timer < math.inf:
            actions += (WakeAt(timer, event.version),)
        return Round(event.version, event.ues, event.ues), actions

    @staticmethod
    def _close(state: Round, ue: int) -> Tuple[Round, Actions]:
        waiting = tuple(other for other in state.waiting if other != ue)
        state = replace(state, waiting=waiting)
        return state, () if waiting else (state.close(),)


@dataclass(frozen=True)
class WaitForAll(Protocol):
    """Wait until every UE's upload has arrived complete, however long it takes (synchronous FedAvg)."""

    def decided(self, state: Round, ue: int, now_s: float) -> bool:
        return bool(state.layers) and state.arrived.get(ue, 0) == state.layers


@dataclass(frozen=True)
class Deadline(Protocol):
    """Wait until a deadline after the model was handed out; take the layers that have arrived by then.

    Args:
        deadline_s: time from the broadcast in s, above 0. It counts computing and sending.
    """

    deadline_s: float = 3.0

    def __post_init__(self) -> None:
        require(0 < self.deadline_s < math.inf, "deadline_s", self.deadline_s, "a finite number above 0")

    def decided(self, state: Round, ue: int, now_s: float) -> bool:
        return bool(state.layers) and state.arrived.get(ue, 0) == state.layers

    def round_timer(self, now_s: float) -> float:
        return now_s + self.deadline_s


@dataclass(frozen=True)
class BaseThenEnhancement(Protocol):
    """The notes' graded rule: take the base layer in time, then wait a while for the enhancements.

    Both thresholds count from the moment at which the UE begins to send, which the BS knows as it grants the
    uplink. A base layer later than `receive_s` is rejected. With the base there, the BS waits for the
    enhancements until `wait_s` and takes what has arrived. A base that arrives between `wait_s` and `receive_s`
    is taken alone.

    Args:
        receive_s: receive threshold in s, above 0; infinity never rejects.
        wait_s: wait threshold in s, at least 0; infinity waits for every layer.

    Reference: notes, graded upload, improvement 4.
    """

    receive_s: float = 2.82
    wait_s: float = 2.611

    def __post_init__(self) -> None:
        require(self.receive_s > 0, "receive_s", self.receive_s, "a number above 0")
        require(self.wait_s >= 0, "wait_s", self.wait_s, "a number, at least 0")

    def decided(self, state: Round, ue: int, now_s: float) -> bool:
        layers, started_s = state.arrived.get(ue, 0), state.started_s[ue]
        if layers == 0:
            return now_s >= started_s + self.receive_s
        return layers == state.layers or now_s >= started_s + self.wait_s

    def upload_timers(self, started_s: float) -> Tuple[float, ...]:
        return started_s + self.receive_s, started_s + self.wait_s

    def thresholds_s(self) -> Dict[str, float]:
        return {"receive": self.receive_s, "wait": self.wait_s}


PROTOCOLS: Dict[str, Type[Protocol]] = {
    "wait_for_all": WaitForAll,
    "deadline": Deadline,
    "base_then_enhancement": BaseThenEnhancement,
}
