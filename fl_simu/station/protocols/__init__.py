"""Protocols: whom the BS waits for, and what it takes.

A protocol is a frozen dataclass with one pure method, `on(state, event) -> (state, actions)`. It never sees a
model: it is told what arrived and when, and answers with what the BS shall do. Its state is plain data, so that a
test can feed it a table of events and a checkpoint can hold it.
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
