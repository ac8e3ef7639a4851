"""Protocols: the UEs that the BS waits for, and the layers that it accepts.

A protocol is a frozen dataclass with one pure method, `on(state, event) -> (state, actions)`. It never sees a
model: events say what arrived and when, and actions say what the BS must do. Its state is plain data, so a test
can feed it a table of events and a checkpoint can store it.
"""

from typing import Dict, Type

from fl_simu.station.protocols.base import Protocol
from fl_simu.station.protocols.buffered import Buffered
from fl_simu.station.protocols.rounds import BaseThenEnhancement, Deadline, EventTriggered, FirstK, WaitForAll

PROTOCOLS: Dict[str, Type[Protocol]] = {
    "wait_for_all": WaitForAll,
    "deadline": Deadline,
    "base_then_enhancement": BaseThenEnhancement,
    "first_k": FirstK,
    "event_triggered": EventTriggered,
    "buffered": Buffered,
}
