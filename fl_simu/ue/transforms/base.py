"""The contract of a transform, and the chain of transforms between a UE's training and its codec."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Optional, Tuple

from fl_simu.kernel.parameters import Params
from fl_simu.ue.training import Key


class Context(NamedTuple):
    """What a UE knows when it transforms its update.

    Args:
        key: the key of its draws.
        start: the global model that it was handed.
        trained: its model after training.
        samples: number of its samples.
    """

    key: Key
    start: Params
    trained: Params
    samples: int


class Transform(ABC):
    """What a UE does to its update before it encodes it.

    A transform is a frozen dataclass whose memory is passed in and returned. A memory consists of plain data and
    tensors. It is None until the BS has accepted something from an upload of the UE.

    Class attributes:
        memory_classes: the named tuples or dataclasses in its memory, for a checkpoint.
    """

    memory_classes: ClassVar[Tuple[type, ...]] = ()

    @abstractmethod
    def apply(self, update: Params, context: Context, memory: Any) -> Tuple[Params, Any]:
        """Transform an update before it is encoded.

        Args:
            update: the output of the previous transform; trained minus start for the first one. Not changed.
            context: what else the UE knows.
            memory: its memory; not changed.

        Returns:
            An update of the same structure, and the new memory in case the BS accepts something of this upload.
        """

    def settled(self, memory: Any, sent: Params, decoded: Params) -> Any:
        """The new memory once the BS has told the UE what it accepted.

        Args:
            memory: the memory that `apply` returned.
            sent: the update that was encoded, the output of the complete chain.
            decoded: this update as decoded from the layers that the BS accepted.
        """
        return memory

    def silent(self, context: Context, memory: Any) -> bool:
        """Whether the UE tells the BS after training that it does not send this time."""
        return False


@dataclass(frozen=True)
class Chain:
    """The transforms of every UE, applied one after the other.

    Args:
        transforms: in this order; without any, the update is unchanged.
    """

    transforms: Tuple[Transform, ...] = ()

    def silent(self, context: Context, memories: Tuple[Any, ...]) -> bool:
        """Whether one of them stops the UE from sending."""
        return any(one.silent(context, memory) for one, memory in self._with(memories))

    def apply(self, update: Params, context: Context, memories: Tuple[Any, ...]) -> Tuple[Params, Tuple[Any, ...]]:
        """The update to encode, and the memories in case the BS accepts something of it."""
        found = []
        for one, memory in self._with(memories):
            update, memory = one.apply(update, context, memory)
            found.append(memory)
        return update, tuple(found)

    def settled(self, memories: Tuple[Any, ...], sent: Params, decoded: Params) -> Tuple[Any, ...]:
        """The memories after the BS has accepted something of an upload."""
        return tuple(one.settled(memory, sent, decoded) for one, memory in self._with(memories))

    def _with(self, memories: Tuple[Any, ...]) -> Any:
        known: Tuple[Optional[Any], ...] = memories or (None,) * len(self.transforms)
        return zip(self.transforms, known)
