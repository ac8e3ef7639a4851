"""The contract of a protocol: a pure function from a state and an event to a state and actions."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Dict, Mapping, Optional, Tuple

from fl_simu.kernel.messages import (
    Action,
    Event,
)

Actions = Tuple[Action, ...]


class Protocol(ABC):
    """Which UEs the BS waits for, and which layers of their uploads it accepts.

    Class attributes:
        state_classes: the named tuples or dataclasses in its state, for a checkpoint.
        takes_whole: whether it accepts all or none of the uploads of one round that arrive at the same time. If a
            medium adds them on the air, the BS cannot separate them, and other protocols are refused.
    """

    state_classes: ClassVar[Tuple[type, ...]] = ()
    takes_whole: ClassVar[bool] = False

    @abstractmethod
    def start(self) -> Any:
        """The state before the first event."""

    @abstractmethod
    def on(self, state: Any, event: Event) -> Tuple[Any, Actions]:
        """Process one event; return the new state and the actions of the BS. The given state is not changed."""

    def settled(self, state: Any, round: int, ues: int, under_way: Mapping[int, int]) -> bool:
        """Whether a state is possible between an aggregation and the next event. This validates a checkpoint.

        Args:
            state: an object of one of its state classes.
            round: number of aggregations.
            ues: number of UEs.
            under_way: for each UE with an upload under way, the model version that it started from.
        """
        return True

    def thresholds_s(self) -> Dict[str, float]:
        """Thresholds on the delay of an upload, by name, for figures."""
        return {}

    def bears_silence(self) -> bool:
        """Whether a round ends even if a UE that was handed the model never answers."""
        return False

    def movement_threshold(self) -> Optional[float]:
        """How far a model must have moved since its UE's last accepted upload to be sent; None sends all."""
        return None

    def repeats(self) -> bool:
        """Whether it may reuse the last accepted upload of a UE. The BS then keeps these uploads."""
        return False
