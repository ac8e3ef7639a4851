"""The contract of a protocol: pure, from a state and an event to a state and actions."""

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
        state_classes: the named tuples or dataclasses that its state is made of, for a checkpoint.
        takes_whole: whether of uploads of one round that arrive at the same moment it takes all or none. Where a
            medium adds them on the air, they cannot be told apart, and other protocols are refused.
    """

    state_classes: ClassVar[Tuple[type, ...]] = ()
    takes_whole: ClassVar[bool] = False

    @abstractmethod
    def start(self) -> Any:
        """The state before the first event."""

    @abstractmethod
    def on(self, state: Any, event: Event) -> Tuple[Any, Actions]:
        """Take one event; return the new state and what the BS does now. The given state is left alone."""

    def settled(self, state: Any, round: int, ues: int, under_way: Mapping[int, int]) -> bool:
        """Whether it may stand so between an aggregation and the next event; a checkpoint is checked by this.

        Args:
            state: of one of its classes.
            round: number of aggregations.
            ues: number of UEs.
            under_way: for each UE whose upload is, the version that it started from.
        """
        return True

    def thresholds_s(self) -> Dict[str, float]:
        """Thresholds on the delay of an upload, by name, for figures."""
        return {}

    def bears_silence(self) -> bool:
        """Whether a round ends though a UE that was handed the model never answers."""
        return False

    def movement_threshold(self) -> Optional[float]:
        """How far a model must have moved since its UE's last accepted upload to be sent; None sends every one."""
        return None

    def repeats(self) -> bool:
        """Whether it may let a UE's last accepted upload stand in, which the BS then keeps."""
        return False
