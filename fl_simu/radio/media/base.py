"""The contract of a medium: what uploads on the air do to one another."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Callable, ClassVar, Iterable, Iterator, Mapping, NamedTuple, Optional, Tuple

from fl_simu.kernel.messages import Taken, Update
from fl_simu.radio.allocation.base import Allocator
from fl_simu.radio.link import Link, Upload


class Arrival(NamedTuple):
    """The next layer to arrive, if nobody begins or ends to send before."""

    time_s: float
    ue: int


class Medium:
    """What the BS hears of the uploads: a frozen dataclass.

    Class attributes:
        separable: whether the BS hears each upload by itself. Rules that need them are refused where it does not.
    """

    separable: ClassVar[bool] = True

    def hear(
        self, taken: Iterable[Taken], decode: Callable[[Taken], Optional[Update]]
    ) -> Iterator[Optional[Update]]:
        """What the BS makes of the uploads that it takes, one at a time.

        Args:
            taken: in the order of the UEs.
            decode: the update that an upload tells; None if it is refused.
        """
        return map(decode, taken)


class SharedMedium(Medium, ABC):
    """A medium on which an upload's arrivals depend on who else is sending.

    Its state is plain data, which goes in and comes out. Times are virtual times in s, and never go back.

    Class attributes:
        state_classes: the named tuples or dataclasses that its state is made of, for a checkpoint.
    """

    state_classes: ClassVar[Tuple[type, ...]] = ()

    def check(self, link: Link) -> None:
        """Raise BadField unless it can carry uploads of this link."""

    @abstractmethod
    def start(self) -> Any:
        """The state while nobody sends."""

    def handed(
        self, state: Any, link: Link, allocator: Allocator, uploads: Mapping[int, Upload], now_s: float
    ) -> Any:
        """A cohort is handed the global model; by default nothing changes before its UEs begin to send.

        Args:
            uploads: by UE, those that will begin at their `start_s` unless their UE leaves before.
        """
        return state

    @abstractmethod
    def join(self, state: Any, link: Link, upload: Upload, now_s: float) -> Any:
        """A UE begins to send an upload."""

    @abstractmethod
    def leave(self, state: Any, link: Link, ue: int, now_s: float) -> Any:
        """A UE ends to send, whatever is left of its upload, or will not begin; the same state if it does not
        send and nobody waits for it."""

    @abstractmethod
    def plan(self, state: Any, link: Link, allocator: Allocator, now_s: float) -> Tuple[Any, Optional[Arrival]]:
        """Share the medium among those who are sending; the layer that will arrive first, None if nobody sends.

        Of layers that arrive at the same moment, that of the UE which joined first comes first.
        """

    @abstractmethod
    def arrived(self, state: Any, link: Link, arrival: Arrival) -> Any:
        """That layer has arrived; a UE whose last layer it is sends no longer."""

    @abstractmethod
    def sent_mbit(self, state: Any, link: Link, upload: Upload, now_s: float) -> float:
        """What an upload that is being sent has put on the air by now, in Mbit."""

    def airtime_s(self, state: Any, link: Link, upload: Upload, now_s: float) -> float:
        """How long the UE of an upload that is being sent has transmitted by now, or until its last layer arrives
        now; by default all the time since it began."""
        return now_s - upload.start_s


@dataclass(frozen=True)
class Orthogonal(Medium):
    """Every UE has a link of its own, as the channel says, whoever else is sending."""
