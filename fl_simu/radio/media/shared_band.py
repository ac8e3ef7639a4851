"""One band for all who are sending."""

from dataclasses import dataclass
from typing import Dict, NamedTuple, Optional, Tuple

from fl_simu.radio.allocation.base import LINEAR, Allocator, Sending
from fl_simu.radio.allocation.spectrum import Spectrum
from fl_simu.radio.channels.base import NEGLIGIBLE
from fl_simu.radio.link import Link, Upload
from fl_simu.radio.media.base import Arrival, SharedMedium


class Sender(NamedTuple):
    """A UE that is sending.

    Args:
        version: of the global model that its upload belongs to.
        left_mbit: what is left of each layer that has not arrived, at the time of the band.
        share: of the band.
        arrived: how many of its layers have arrived.
    """

    version: int
    left_mbit: Tuple[float, ...]
    share: float = 0.0
    arrived: int = 0


class Band(NamedTuple):
    """Who is sending, in the order in which they began, at a moment."""

    at_s: float
    senders: Dict[int, Sender]


@dataclass(frozen=True)
class SharedBand(SharedMedium):
    r"""Those who are sending share one band, which is divided anew whenever somebody begins or ends to send.

    The channel says which rate r a UE has with the whole band; with a share s of it the UE has s r: its spectral
    efficiency stays the same. A load of L Mbit that begins at a has arrived at t when
    :math:`\int_a^t s(\tau) r(\tau) d\tau = L`. The allocator gives the shares.
    """

    state_classes = (Band, Sender)

    def check(self, link: Link) -> None:
        link.require_integrated("medium.name", "shared_band")

    def start(self) -> Band:
        return Band(0.0, {})

    def join(self, state: Band, link: Link, upload: Upload, now_s: float) -> Band:
        loads = tuple(map(link.size.load_mbit, upload.sizes_bits))
        return Band(now_s, {**self._senders_at(state, link, now_s), upload.ue: Sender(upload.version, loads)})

    def leave(self, state: Band, link: Link, ue: int, now_s: float) -> Band:
        if ue not in state.senders:
            return state
        senders = self._senders_at(state, link, now_s)
        del senders[ue]
        return Band(now_s, senders)

    def plan(self, state: Band, link: Link, allocator: Allocator, now_s: float) -> Tuple[Band, Optional[Arrival]]:
        senders = self._senders_at(state, link, now_s)
        if not senders:
            return Band(now_s, {}), None
        known = {
            ue: Sending(one.left_mbit, one.arrived, link.rate_mbps(ue, one.version, now_s))
            for ue, one in senders.items()
        }
        shares = allocator.divide(known, self.spectrum())
        senders = {ue: one._replace(share=shares[ue]) for ue, one in senders.items()}
        arrivals = [Arrival(self._arrival_s(link, ue, one, now_s), ue) for ue, one in senders.items()]
        # The first of those that are equal.
        return Band(now_s, senders), min(arrivals, key=lambda arrival: arrival.time_s)

    def arrived(self, state: Band, link: Link, arrival: Arrival) -> Band:
        senders = self._senders_at(state, link, arrival.time_s)
        one = senders[arrival.ue]
        left = one.left_mbit[1:]
        if left:
            senders[arrival.ue] = one._replace(left_mbit=left, arrived=one.arrived + 1)
        else:
            del senders[arrival.ue]
        return Band(arrival.time_s, senders)

    def sent_mbit(self, state: Band, link: Link, upload: Upload, now_s: float) -> float:
        loads = sum(map(link.size.load_mbit, upload.sizes_bits))
        sender = state.senders.get(upload.ue)
        if sender is None:
            return 0.0
        return loads - sum(self._at(sender, link, upload.ue, state.at_s, now_s).left_mbit)

    def spectrum(self) -> Spectrum:
        """Which rate a share of the band gives."""
        return LINEAR

    def carried_mbit(self, link: Link, ue: int, sender: Sender, start_s: float, end_s: float) -> float:
        """What a UE sends with its share from one moment to another, in Mbit."""
        return sender.share * link.carried_mbit(ue, sender.version, start_s, end_s)

    def arrival_s(self, link: Link, ue: int, sender: Sender, now_s: float) -> float:
        """When the layer that a UE is sending has arrived, if it keeps its share, which is above 0."""
        return link.arrival_s(ue, sender.version, now_s, sender.left_mbit[0] / sender.share)

    def _senders_at(self, band: Band, link: Link, now_s: float) -> Dict[int, Sender]:
        """Who is sending, with what is left now."""
        if now_s == band.at_s:
            return dict(band.senders)
        return {ue: self._at(one, link, ue, band.at_s, now_s) for ue, one in band.senders.items()}

    def _at(self, sender: Sender, link: Link, ue: int, since_s: float, now_s: float) -> Sender:
        if sender.share == 0 or now_s == since_s:
            return sender
        # A layer has arrived when its event says so. Rounding may make it seem to be over a little earlier or
        # later: what would be left then is no load, for which an allocator might let it wait for others.
        first, *others = sender.left_mbit
        left = first - self.carried_mbit(link, ue, sender, since_s, now_s)
        return sender._replace(left_mbit=(left if left > NEGLIGIBLE * first else 0.0, *others))

    def _arrival_s(self, link: Link, ue: int, sender: Sender, now_s: float) -> float:
        if not sender.left_mbit[0]:
            return now_s
        return self.arrival_s(link, ue, sender, now_s) if sender.share else float("inf")
