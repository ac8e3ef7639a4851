"""One band that is divided once for a cohort, before its UEs send."""

from dataclasses import dataclass
from typing import Dict, Mapping, NamedTuple, Optional, Tuple

from fl_simu.radio.allocation.base import Allocator, Sending
from fl_simu.radio.link import Link, Upload
from fl_simu.radio.media.base import Arrival, SharedMedium, without
from fl_simu.radio.media.shannon_band import ShannonBand, require_bandwidth
from fl_simu.radio.media.shared_band import Band, SharedBand

# A smaller part of the band is a rounding error.
LEAST_FREE = 1e-9


class Booking(NamedTuple):
    """The part of the band that a UE holds from the moment it is handed the model until its upload has ended.

    Args:
        version: version of the global model that its upload belongs to.
        loads_mbit: load of each layer that it will send.
        share: its share of the band; 0 while it waits for one.
    """

    version: int
    loads_mbit: Tuple[float, ...]
    share: float = 0.0


class Plan(NamedTuple):
    """The sending UEs, and the bookings."""

    band: Band
    booked: Dict[int, Booking]


@dataclass(frozen=True)
class PlannedBand(SharedMedium):
    r"""As `shared_band`, but the shares are set when a cohort receives the global model, and then kept.

    The allocator divides the band by the loads of the uploads and the rates at that moment. A UE keeps its share
    while it trains, while it sends and in outages; no other UE uses what it leaves idle. When its upload has ended
    or is given up, the share is free for the next cohort, but not for the other UEs of its own cohort.

    Cohorts may overlap, as under an asynchronous protocol. A new cohort then divides the part of the band that is
    free at that moment: all shares together are at most 1. A UE without a share waits until some upload ends, and
    the band that is free by then is divided among the waiting UEs. This concerns all UEs if nothing is free, all
    but one under `tdma`, and UEs that are in outage at that moment under `min_max_delay`.

    Reference: Z. Yang, Chen, Saad, Hong, Shikh-Bahaei 2021, "Energy Efficient Federated Learning Over Wireless
    Communication Networks", where bandwidths are set for a round.
    """

    state_classes = (Plan, Booking, Band)

    @property
    def shared(self) -> SharedBand:
        """The band on which UEs send with their shares."""
        return SharedBand()

    def check(self, link: Link) -> None:
        link.require_integrated("medium.name", "planned_band")

    def start(self) -> Plan:
        return Plan(self.shared.start(), {})

    def handed(
        self, state: Plan, link: Link, allocator: Allocator, uploads: Mapping[int, Upload], now_s: float
    ) -> Plan:
        cohort = {ue: _booking(link, upload) for ue, upload in uploads.items()}
        return self._booked(Plan(state.band, {**state.booked, **cohort}), link, allocator, now_s)

    def join(self, state: Plan, link: Link, upload: Upload, now_s: float) -> Plan:
        band = self.shared.join(state.band, link, upload, now_s)
        if upload.ue in state.booked:
            return state._replace(band=band)
        return Plan(band, {**state.booked, upload.ue: _booking(link, upload)})

    def leave(self, state: Plan, link: Link, ue: int, now_s: float) -> Plan:
        if ue not in state.booked:
            return state
        return Plan(self.shared.leave(state.band, link, ue, now_s), without(state.booked, ue))

    def plan(self, state: Plan, link: Link, allocator: Allocator, now_s: float) -> Tuple[Plan, Optional[Arrival]]:
        booked = self._booked(state, link, allocator, now_s).booked
        band = self.shared.at(state.band, link, now_s)
        band = band._replace(shares=tuple([booked[ue].share for ue in band.ues]))
        return Plan(band, booked), self.shared.first(band, link) if band.ues else None

    def arrived(self, state: Plan, link: Link, arrival: Arrival) -> Plan:
        band = self.shared.arrived(state.band, link, arrival)
        return Plan(band, state.booked if arrival.ue in band.ues else without(state.booked, arrival.ue))

    def sent_mbit(self, state: Plan, link: Link, upload: Upload, now_s: float) -> float:
        return self.shared.sent_mbit(state.band, link, upload, now_s)

    def airtime_s(self, state: Plan, link: Link, upload: Upload, now_s: float) -> float:
        return self.shared.airtime_s(state.band, link, upload, now_s)

    def _booked(self, state: Plan, link: Link, allocator: Allocator, now_s: float) -> Plan:
        """Divide the free part of the band among the UEs without a share, none of which has sent anything yet."""
        waiting = {ue: one for ue, one in state.booked.items() if not one.share}
        free = 1 - sum(one.share for one in state.booked.values())
        if not waiting or free < LEAST_FREE:
            return state
        spectrum = self.shared.spectrum()
        rates = link.rates_of(tuple(waiting), [one.version for one in waiting.values()], now_s).tolist()
        senders = {
            ue: Sending(one.loads_mbit, 0, spectrum.rate_mbps(rate, free))
            for (ue, one), rate in zip(waiting.items(), rates)
        }
        shares = allocator.divide(senders, spectrum.part(free))
        given = {ue: one._replace(share=free * shares[ue]) for ue, one in waiting.items()}
        return Plan(state.band, {**state.booked, **given})


@dataclass(frozen=True)
class PlannedShannonBand(PlannedBand):
    """As `planned_band`, but a UE puts all of its power into its share, as on `shannon_band`.

    A narrower share has less noise.

    Args:
        bandwidth_mhz: bandwidth of the complete band in MHz, 1e-6 to 1e6; no rate may be above 100 bit/s/Hz.
    """

    bandwidth_mhz: float = 20.0

    def __post_init__(self) -> None:
        require_bandwidth(self.bandwidth_mhz)

    @property
    def shared(self) -> SharedBand:
        return ShannonBand(self.bandwidth_mhz)

    def check(self, link: Link) -> None:
        link.require_integrated("medium.name", "planned_shannon_band")


def _booking(link: Link, upload: Upload) -> Booking:
    return Booking(upload.version, link.loads_mbit(upload))
