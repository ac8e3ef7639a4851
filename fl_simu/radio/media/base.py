"""The contract of a medium: what uploads on the air do to one another."""

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
    """The next layer to arrive, if nobody begins or ends to send before."""

    time_s: float
    ue: int


class Air(NamedTuple):
    """What a medium may know of a round whose uploads the BS takes.

    Args:
        link: the uplink, with the seed of all draws, and what a UE sends of its model (`content`).
        version: number of aggregations behind the present global model.
        current: that model.
        weight_of: the weight of an update in the aggregation rule's mean; None where the rule is no such mean.
        told: numbers of the round by the names of the medium's `columns`, at first 0 each, to be set by it.
    """

    link: Link
    version: int
    current: Params
    weight_of: Callable[[Update], Optional[float]]
    told: Dict[str, float]


def without(of_ues: Mapping[int, Of], ue: int) -> Dict[int, Of]:
    """What there is of all UEs but one."""
    return {other: one for other, one in of_ues.items() if other != ue}


class Medium:
    """How the uploads share the air, and what the BS receives.

    A medium is a frozen dataclass.

    Class attributes:
        separable: whether the BS hears each upload by itself. Rules that need them are refused where it does not.
        analog: whether numbers are sent as amplitudes, added on the air, and not as bits. What tells bits of a
            number, or takes one upload of a sum and another not, is refused then.
    """

    separable: ClassVar[bool] = True
    analog: ClassVar[bool] = False

    @property
    def columns(self) -> Mapping[str, Column]:
        """Name -> column, of each round; `listen` gives their numbers."""
        return {}

    def hear(
        self, taken: Iterable[Taken], decode: Callable[[Taken], Optional[Update]]
    ) -> Iterator[Optional[Update]]:
        """What the BS makes of the uploads that it takes, one at a time.

        Args:
            taken: in the order of the UEs.
            decode: the update that an upload tells; None if it is refused.
        """
        return map(decode, taken)

    def listen(
        self, taken: Iterable[Taken], decode: Callable[[Taken], Optional[Update]], air: Air
    ) -> Iterator[Optional[Update]]:
        """As `hear`, which it asks unless a class says otherwise; for media that need to know of the round."""
        return self.hear(taken, decode)


class SharedMedium(Medium, ABC):
    """A medium on which the arrivals of an upload depend on which other UEs are sending.

    Its state is plain data, which is passed in and returned. Times are virtual times in s, and never go back.

    Class attributes:
        state_classes: the named tuples or dataclasses that its state is made of, for a checkpoint.
        own_links: whether it says by itself what the links of the UEs are: rates, powers, losses. The channel is
            not asked then, and what needs its rates is refused.
        allocates: whether an allocator divides it.
    """

    state_classes: ClassVar[Tuple[type, ...]] = ()
    own_links: ClassVar[bool] = False
    allocates: ClassVar[bool] = True

    def check(self, link: Link) -> None:
        """Raise BadField unless it can carry uploads of this link."""

    @abstractmethod
    def start(self) -> Any:
        """The state while nobody sends."""

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
        """An upload that begins at `start_s`, whose arrivals nobody can foresee: what goes on the air for it.

        Args:
            structure: of what the UE encodes.
            bits: bits a parameter that it chose; 0 for the codec as it is configured.
            compute_s: how long it trains before.
        """
        return link.pending(ue, version, start_s, structure, bits, compute_s)

    def handed(
        self, state: Any, link: Link, allocator: Allocator, uploads: Mapping[int, Upload], now_s: float
    ) -> Any:
        """A cohort is handed the global model; by default nothing changes before its UEs begin to send.

        Args:
            uploads: by UE, those that will begin at their `start_s` unless their UE leaves before; each with the
                `training` before it.
        """
        return state

    def silence(self, state: Any, link: Link, upload: Upload, now_s: float) -> str:
        """Why a UE that has trained now will not send, in a word for the records; empty if it will."""
        return ""

    @abstractmethod
    def join(self, state: Any, link: Link, upload: Upload, now_s: float) -> Any:
        """A UE begins to send an upload."""

    def lost(self, state: Any, link: Link, upload: Upload) -> int:
        """The first layer that will be lost of an upload that begins, -1 for none; by default as the link says."""
        return upload.lost

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

    def began_s(self, state: Any, upload: Upload, now_s: float) -> float:
        """Since when a UE that has joined is on the air; infinity if it still waits for others."""
        return upload.start_s

    @abstractmethod
    def sent_mbit(self, state: Any, link: Link, upload: Upload, now_s: float) -> float:
        """What an upload that is being sent has put on the air by now, in Mbit."""

    def airtime_s(self, state: Any, link: Link, upload: Upload, now_s: float) -> float:
        """How long the UE of an upload that is being sent has transmitted by now, or until its last layer arrives
        now; by default all the time since it began."""
        return max(0.0, now_s - self.began_s(state, upload, now_s))

    def transmits_w(self, state: Any, link: Link, upload: Upload) -> Optional[float]:
        """The power with which a UE will send an upload that begins, in W; None where the medium tells of none."""
        return None


@dataclass(frozen=True)
class Orthogonal(Medium):
    """Every UE has its own link, as given by the channel, whoever else is sending."""
