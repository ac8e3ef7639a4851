"""The contract of a medium: how uploads on the air affect one another."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Callable, ClassVar, Dict, Iterable, Iterator, Mapping, NamedTuple, Optional, Tuple, TypeVar

from fl_simu.kernel.columns import Column
from fl_simu.kernel.messages import Taken, Update
from fl_simu.kernel.parameters import Params, Structure
from fl_simu.radio.allocation.base import Allocator
from fl_simu.radio.link import Link, Upload

Of = TypeVar("Of")


class Arrival(NamedTuple):
    """The next layer to arrive, unless a UE starts or stops sending before."""

    time_s: float
    ue: int


class Air(NamedTuple):
    """What a medium may know of a round whose uploads the BS accepts.

    Args:
        link: the uplink, with the seed of all draws, and with what a UE sends of its model (`content`).
        version: number of aggregations that led to the current global model.
        current: this model.
        weight_of: the weight of an update in the aggregation rule's mean; None if the rule is no such mean.
        told: numbers of the round by the names of the medium's `columns`; all 0 at first, set by the medium.
    """

    link: Link
    version: int
    current: Params
    weight_of: Callable[[Update], Optional[float]]
    told: Dict[str, float]


def without(of_ues: Mapping[int, Of], ue: int) -> Dict[int, Of]:
    """The entries of all UEs but one."""
    return {other: one for other, one in of_ues.items() if other != ue}


class Medium:
    """How the uploads share the air, and what the BS receives.

    A medium is a frozen dataclass.

    Class attributes:
        separable: whether the BS hears each single upload. If not, rules that need single uploads are refused.
        analog: whether UEs send numbers as amplitudes that add up on the air, not as bits. Parts that count the
            bits of a number, or accept only some uploads of a sum, are then refused.
    """

    separable: ClassVar[bool] = True
    analog: ClassVar[bool] = False

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns of each round, by name; `listen` sets their numbers."""
        return {}

    def hear(
        self, taken: Iterable[Taken], decode: Callable[[Taken], Optional[Update]]
    ) -> Iterator[Optional[Update]]:
        """The updates that the BS gets from the uploads that it accepts, one at a time.

        Args:
            taken: the accepted uploads, in the order of the UEs.
            decode: function that returns the update of an upload; None if it is refused.
        """
        return map(decode, taken)

    def listen(
        self, taken: Iterable[Taken], decode: Callable[[Taken], Optional[Update]], air: Air
    ) -> Iterator[Optional[Update]]:
        """Like `hear`, which it calls by default, but for media that need to know the round."""
        return self.hear(taken, decode)


class SharedMedium(Medium, ABC):
    """A medium on which the arrivals of an upload depend on the other UEs that are sending.

    Its state is plain data, which is passed in and returned. Times are virtual times in s, and never decrease.

    Class attributes:
        state_classes: the named tuples or dataclasses in its state, for a checkpoint.
        own_links: whether it defines the links of the UEs itself: rates, powers, losses. The channel is then not
            used, and parts that need its rates are refused.
        allocates: whether an allocator divides it.
    """

    state_classes: ClassVar[Tuple[type, ...]] = ()
    own_links: ClassVar[bool] = False
    allocates: ClassVar[bool] = True

    def check(self, link: Link) -> None:
        """Raise BadField unless it can carry uploads of this link."""

    @abstractmethod
    def start(self) -> Any:
        """The state while no UE sends."""

    def pending(
        self,
        link: Link,
        ue: int,
        version: int,
        start_s: float,
        structure: Structure,
        bits: int,
        compute_s: float,
    ) -> Upload:
        """An upload that begins at `start_s`, with its load on the air, but without its unknown arrival times.

        Args:
            structure: structure of what the UE encodes.
            bits: bits per parameter that the UE chose; 0 for the codec as configured.
            compute_s: its training time before.
        """
        return link.pending(ue, version, start_s, structure, bits, compute_s)

    def handed(
        self, state: Any, link: Link, allocator: Allocator, uploads: Mapping[int, Upload], now_s: float
    ) -> Any:
        """A cohort is handed the global model. By default nothing changes before its UEs begin to send.

        Args:
            uploads: the uploads by UE. Each begins at its `start_s` unless its UE leaves before, and has the
                `training` before it.
        """
        return state

    def silence(self, state: Any, link: Link, upload: Upload, now_s: float) -> str:
        """Why a UE that has just trained will not send, in a word for the records; empty if it will send."""
        return ""

    @abstractmethod
    def join(self, state: Any, link: Link, upload: Upload, now_s: float) -> Any:
        """A UE begins to send an upload."""

    def lost(self, state: Any, link: Link, upload: Upload) -> int:
        """The first layer of a beginning upload that will be lost, -1 for none; by default that of the link."""
        return upload.lost

    @abstractmethod
    def leave(self, state: Any, link: Link, ue: int, now_s: float) -> Any:
        """A UE stops sending, whatever is left of its upload, or will not begin. The state stays the same if the
        UE does not send and no other UE waits for it."""

    @abstractmethod
    def plan(self, state: Any, link: Link, allocator: Allocator, now_s: float) -> Tuple[Any, Optional[Arrival]]:
        """Share the medium among the sending UEs; return the layer that will arrive first, None if no UE sends.

        If layers arrive at the same time, that of the UE that joined first comes first.
        """

    @abstractmethod
    def arrived(self, state: Any, link: Link, arrival: Arrival) -> Any:
        """This layer has arrived. If it is the last layer of a UE, the UE stops sending."""

    def began_s(self, state: Any, upload: Upload, now_s: float) -> float:
        """The time since when a joined UE has been on the air; infinity if it still waits for others."""
        return upload.start_s

    @abstractmethod
    def sent_mbit(self, state: Any, link: Link, upload: Upload, now_s: float) -> float:
        """The load that an upload under way has put on the air so far, in Mbit."""

    def airtime_s(self, state: Any, link: Link, upload: Upload, now_s: float) -> float:
        """The time for which a sending UE has transmitted so far, or until its last layer arrives now; by default
        all the time since it began."""
        return max(0.0, now_s - self.began_s(state, upload, now_s))

    def transmits_w(self, state: Any, link: Link, upload: Upload) -> Optional[float]:
        """The transmit power of a UE for a beginning upload, in W; None if the medium models no power."""
        return None


@dataclass(frozen=True)
class Orthogonal(Medium):
    """Every UE has its own link, as given by the channel, regardless of other UEs."""
