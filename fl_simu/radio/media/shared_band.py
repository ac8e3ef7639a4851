"""One band for all sending UEs."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from fl_simu.radio.allocation.base import LINEAR, Allocator, Sending
from fl_simu.radio.allocation.spectrum import Spectrum
from fl_simu.radio.channels.base import NEGLIGIBLE
from fl_simu.radio.link import Link, Upload
from fl_simu.radio.media.base import Arrival, SharedMedium

Numbers = Tuple[float, ...]


class Sender(NamedTuple):
    """A UE that is sending.

    Args:
        version: version of the global model that its upload belongs to.
        left_mbit: remaining load of each layer that has not arrived, at the time of the band.
        share: its share of the band.
        arrived: number of its layers that have arrived.
        began_s: virtual time at which it began.
        waited_s: time since then for which it had no share.
    """

    version: int
    left_mbit: Numbers
    share: float = 0.0
    arrived: int = 0
    began_s: float = 0.0
    waited_s: float = 0.0


class Band(NamedTuple):
    """The sending UEs at a moment, in the order in which they began: one column per field of `Sender`, so that all
    UEs are updated together.

    Args:
        at_s: this moment.
        ues: the UEs.
        versions, shares, arrived, began_s, waited_s: as in `Sender`.
        left_mbit: remaining load of the layer that each is sending.
        behind_mbit: loads of the layers after that one.
    """

    at_s: float
    ues: Tuple[int, ...] = ()
    versions: Tuple[int, ...] = ()
    left_mbit: Numbers = ()
    behind_mbit: Tuple[Numbers, ...] = ()
    shares: Numbers = ()
    arrived: Tuple[int, ...] = ()
    began_s: Numbers = ()
    waited_s: Numbers = ()

    @property
    def senders(self) -> Dict[int, Sender]:
        """The senders by UE."""
        return {ue: self.sender(place) for place, ue in enumerate(self.ues)}

    def sender(self, place: int) -> Sender:
        """The sender at a position."""
        left = (self.left_mbit[place], *self.behind_mbit[place])
        rest = (self.shares[place], self.arrived[place], self.began_s[place], self.waited_s[place])
        return Sender(self.versions[place], left, *rest)

    def joined(self, ue: int, sender: Sender) -> "Band":
        """The band with one more sender."""
        return self._with([(*column, one) for column, one in zip(self[1:], _row(ue, sender))])

    def without(self, place: int) -> "Band":
        """The band with one sender fewer."""
        return self._with([(*column[:place], *column[place + 1 :]) for column in self[1:]])

    def replaced(self, place: int, sender: Sender) -> "Band":
        """The band with another sender of the same UE at this position."""
        new = _row(self.ues[place], sender)
        return self._with([(*column[:place], one, *column[place + 1 :]) for column, one in zip(self[1:], new)])

    def only(self, places: Sequence[int]) -> "Band":
        """The band with only the senders at these positions, in ascending order."""
        if len(places) == len(self.ues):
            return self
        return self._with([tuple([column[place] for place in places]) for column in self[1:]])

    def _with(self, columns: Iterable[Any]) -> "Band":
        return Band._make((self.at_s, *columns))


def _row(ue: int, sender: Sender) -> Tuple[Any, ...]:
    version, (left, *behind), *more = sender
    return (ue, version, left, tuple(behind), *more)


class Known(Mapping[int, Sending]):
    """What an allocator may know of the sending UEs, computed on demand.

    Args:
        band, link, now_s: as for `SharedMedium.plan`.
    """

    def __init__(self, band: Band, link: Link, now_s: float) -> None:
        self._band, self._link, self._now_s = band, link, now_s
        self._all: Dict[int, Sending] = {}

    def __getitem__(self, ue: int) -> Sending:
        if not self._all:
            band = self._band
            rates = self._link.rates_of(band.ues, band.versions, self._now_s).tolist()
            told = zip(band.ues, band.left_mbit, band.behind_mbit, band.arrived, rates, band.began_s)
            self._all = {
                one: Sending((left, *behind), arrived, rate, self._now_s - began_s)
                for one, left, behind, arrived, rate, began_s in told
            }
        return self._all[ue]

    def __iter__(self) -> Iterator[int]:
        return iter(self._band.ues)

    def __len__(self) -> int:
        return len(self._band.ues)


@dataclass(frozen=True)
class SharedBand(SharedMedium):
    r"""The sending UEs share one band, which is divided again whenever a UE starts or stops sending.

    The channel gives the rate r of a UE with the complete band. With a share s of it the UE has the rate s r: its
    spectral efficiency stays the same. A load of L Mbit that starts at a has arrived at t when :math:`\int_a^t
    s(\tau) r(\tau) d\tau = L`. The allocator sets the shares.

    A UE is on the air, which costs energy, while it has a share. This includes times when its channel is in
    outage, since its radio is on. While it waits with a share of 0 it is not on the air.
    """

    state_classes = (Band,)

    def check(self, link: Link) -> None:
        link.require_integrated("medium.name", "shared_band")

    def start(self) -> Band:
        return Band(0.0)

    def join(self, state: Band, link: Link, upload: Upload, now_s: float) -> Band:
        sender = Sender(upload.version, link.loads_mbit(upload), began_s=now_s)
        return self.at(state, link, now_s).joined(upload.ue, sender)

    def leave(self, state: Band, link: Link, ue: int, now_s: float) -> Band:
        if ue not in state.ues:
            return state
        return self.at(state, link, now_s).without(state.ues.index(ue))

    def plan(self, state: Band, link: Link, allocator: Allocator, now_s: float) -> Tuple[Band, Optional[Arrival]]:
        band = self.at(state, link, now_s)
        if not band.ues:
            return band, None
        shares = allocator.divide(Known(band, link, now_s), self.spectrum())
        band = band._replace(shares=tuple([shares[ue] for ue in band.ues]))
        return band, self.first(band, link)

    def arrived(self, state: Band, link: Link, arrival: Arrival) -> Band:
        band, place = self.at(state, link, arrival.time_s), state.ues.index(arrival.ue)
        one = band.sender(place)
        if len(one.left_mbit) == 1:
            return band.without(place)
        return band.replaced(place, one._replace(left_mbit=one.left_mbit[1:], arrived=one.arrived + 1))

    def sent_mbit(self, state: Band, link: Link, upload: Upload, now_s: float) -> float:
        if upload.ue not in state.ues:
            return 0.0
        sender = self.at(state.only([state.ues.index(upload.ue)]), link, now_s).sender(0)
        return sum(link.loads_mbit(upload)) - sum(sender.left_mbit)

    def airtime_s(self, state: Band, link: Link, upload: Upload, now_s: float) -> float:
        if upload.ue not in state.ues:
            return 0.0
        place = state.ues.index(upload.ue)
        waits_s = 0.0 if state.shares[place] else now_s - state.at_s
        return now_s - state.began_s[place] - (state.waited_s[place] + waits_s)

    def spectrum(self) -> Spectrum:
        """The rate as a function of the share of the band."""
        return LINEAR

    def carried_mbit(self, band: Band, link: Link, now_s: float) -> np.ndarray:
        """The load that each UE sends with its share from the time of the band to a later time, in Mbit; shape
        (UEs,).
        """
        return np.array(band.shares) * link.carried_of(band.ues, band.versions, band.at_s, now_s)

    def first_arrival(self, band: Band, link: Link) -> Tuple[float, int]:
        """The time at which the first of the UEs with a share above 0 has sent its layer if all keep their shares,
        and its position.
        """
        loads = np.array(band.left_mbit) / np.array(band.shares)
        return link.first_arrival(band.ues, band.versions, band.at_s, loads)

    def at(self, band: Band, link: Link, now_s: float) -> Band:
        """The band at a later time, before any UE starts or stops sending."""
        if now_s == band.at_s:
            return band
        places, waited = self._sending(band), band.waited_s
        if len(places) < len(band.ues):
            told = zip(waited, band.shares)
            waited = tuple([one if share else one + (now_s - band.at_s) for one, share in told])
        if not places:
            return band._replace(at_s=now_s, waited_s=waited)
        # A layer arrives at its event. Rounding may put its end slightly earlier or later. The remainder is not a
        # load, and an allocator must not let it wait for other UEs.
        sending = band.only(places)
        before = np.array(sending.left_mbit)
        left = before - self.carried_mbit(sending, link, now_s)
        left[left <= NEGLIGIBLE * before] = 0.0
        left_mbit = tuple(left.tolist())
        if len(places) < len(band.ues):
            moved = dict(zip(places, left_mbit))
            left_mbit = tuple([moved.get(place, one) for place, one in enumerate(band.left_mbit)])
        return band._replace(at_s=now_s, left_mbit=left_mbit, waited_s=waited)

    def first(self, band: Band, link: Link) -> Arrival:
        """The layer that arrives first if all UEs keep their shares; in a tie the first one."""
        if 0.0 in band.left_mbit:
            return Arrival(band.at_s, band.ues[band.left_mbit.index(0.0)])
        places = self._sending(band)
        if not places:
            return Arrival(float("inf"), band.ues[0])
        time_s, place = self.first_arrival(band.only(places), link)
        return Arrival(time_s, band.ues[places[place]])

    def _sending(self, band: Band) -> Sequence[int]:
        """The positions of the UEs with a share."""
        if 0.0 not in band.shares:
            return range(len(band.ues))
        return [place for place, share in enumerate(band.shares) if share]


class FollowedBand(SharedBand):
    """A band on which the rate of a UE is not proportional to its share.

    Note:
        So each sender is simulated separately, on its own link.
    """

    @abstractmethod
    def link_of(self, link: Link, ue: int, share: float) -> Link:
        """The link of a UE that sends with this share, above 0."""

    def carried_mbit(self, band: Band, link: Link, now_s: float) -> np.ndarray:
        told = zip(band.ues, band.versions, band.shares)
        return np.array(
            [
                self.link_of(link, ue, share).carried_mbit(ue, version, band.at_s, now_s)
                for ue, version, share in told
            ]
        )

    def first_arrival(self, band: Band, link: Link) -> Tuple[float, int]:
        told = zip(band.ues, band.versions, band.shares, band.left_mbit)
        arrivals = [
            self.link_of(link, ue, share).arrival_s(ue, version, band.at_s, left)
            for ue, version, share, left in told
        ]
        return min(arrivals), arrivals.index(min(arrivals))
