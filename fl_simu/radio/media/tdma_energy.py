"""One UE after the other, each with the power that needs the least energy within a time."""

import math
from dataclasses import dataclass, field, replace
from typing import Dict, Iterator, Mapping, NamedTuple, Optional, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_factor, require_time
from fl_simu.parts import KINDS
from fl_simu.radio.allocation.base import Allocator
from fl_simu.radio.allocation.slots import cheapest_slots
from fl_simu.radio.allocation.spectrum import LN2, Shannon
from fl_simu.radio.channels.base import Channel, Piece
from fl_simu.radio.link import Link, Upload
from fl_simu.radio.media.base import Arrival, SharedMedium, without
from fl_simu.radio.media.shannon_band import require_bandwidth
from fl_simu.radio.media.shared_band import Band, FollowedBand, SharedBand


class Turns(NamedTuple):
    """The sending and waiting UEs, and the part of full power of each UE that was handed the model."""

    band: Band
    parts: Dict[int, float]


@dataclass(frozen=True)
class Quieter(Channel):
    """A channel on which a UE sends with a part of its full power, above 0 and at most 1."""

    channel: Channel
    bandwidth_mhz: float
    part: float

    def pieces(self, seed: int, ue: int, round: int, start_s: float) -> Iterator[Piece]:
        spectrum = Shannon(self.bandwidth_mhz)
        for rate_mbps, until_s in self.channel.pieces(seed, ue, round, start_s):
            yield self.bandwidth_mhz / LN2 * math.log1p(self.part * spectrum.snr(rate_mbps)), until_s


@dataclass(frozen=True)
class QuieterBand(FollowedBand):
    """The complete band for one UE at a time, which sends with a part of its full power."""

    bandwidth_mhz: float = 20.0
    parts: Mapping[int, float] = field(default_factory=dict)

    def link_of(self, link: Link, ue: int, share: float) -> Link:
        part = self.parts.get(ue, 1.0)
        return link if part == 1 else replace(link, channel=Quieter(link.channel, self.bandwidth_mhz, part))


@dataclass(frozen=True)
class TdmaEnergy(SharedMedium):
    r"""One UE after the other, each with the complete band, with the powers that need the least energy in a time.

    When a cohort receives the global model, the time T is divided among its uploads:

    .. math:: \min_\tau \sum_i \tau_i \frac{N_0}{h_i} \left(e^{S_i / (\tau_i B)} - 1\right), \quad
        \sum_i \tau_i \le T

    where S is the load in nats, N_0 the noise in the band, and h the gain of the link. The channel gives the rate
    r of a UE with the complete band at its full power P, so that :math:`P h / N_0 = 2^{r / B} - 1`; with `fading`
    that requires `shares = 1` and the same `bandwidth_mhz`. A gap to Shannon's rate is included.

    A UE sends with the power :math:`p_i = (N_0 / h_i)(e^{S_i / (\tau_i B)} - 1) \le P`, from its turn until its
    upload has ended. That takes :math:`\tau_i` if its rate does not change; if it changes, the UE keeps its power.
    Overall this is slower than `shared_band` with the allocator `tdma`, and needs less energy.

    UEs take turns in the order in which they finish training; a waiting UE occupies nothing and spends nothing. If
    T is too short for all UEs at full power, all send at full power, and take longer. A UE in outage when the
    model is handed out is not counted, and sends at full power. Each cohort has its own T: where cohorts overlap,
    as under an asynchronous protocol, the later ones queue.

    The meter `energy` takes p from here. This medium requires `allocator = "equal"`, and channels that do not set
    a power themselves.

    Args:
        time_s: T, the total time in s for the uploads of a cohort, above 0.
        bandwidth_mhz: bandwidth B of the band in MHz, 1e-6 to 1e6; no rate may be above 100 bit/s/Hz.
        power_w: P, the full power in W, above 0.

    Reference: Tran, Bao, Zomaya, Nguyen, Hong 2019, "Federated Learning over Wireless Networks: Optimization Model
    Design and Analysis", for uploads, with a given time.
    """

    state_classes = (Turns, Band)
    allocates = False

    time_s: float = 10.0
    bandwidth_mhz: float = 20.0
    power_w: float = 0.5

    def __post_init__(self) -> None:
        require_time("time_s", self.time_s)
        require_bandwidth(self.bandwidth_mhz)
        require_factor("power_w", self.power_w)

    def check(self, link: Link) -> None:
        name = KINDS["medium"].name_of(self)
        link.require_integrated("medium.name", name)
        told = link.transmit_w(0, 0.0, 1.0)
        require(told is None, "medium.name", name, "the channel controls the power; power_control none")

    def start(self) -> Turns:
        return Turns(Band(0.0), {})

    def parts(self, link: Link, uploads: Mapping[int, Upload], now_s: float) -> Dict[int, float]:
        """The part of full power with which each UE must send, above 0 and at most 1."""
        versions = [upload.version for upload in uploads.values()]
        rates = dict(zip(uploads, link.rates_of(tuple(uploads), versions, now_s).tolist()))
        loads = {ue: sum(link.loads_mbit(upload)) for ue, upload in uploads.items()}
        ues = [ue for ue in uploads if rates[ue] and loads[ue]]
        whole = dict.fromkeys(uploads, 1.0)
        if not ues:
            return whole
        snrs = np.array([Shannon(self.bandwidth_mhz).snr(rates[ue]) for ue in ues])
        alone_s = np.array([loads[ue] for ue in ues]) * LN2 / self.bandwidth_mhz
        slots_s = self.slots_s(alone_s, snrs)
        parts = np.minimum(np.expm1(alone_s / slots_s) / snrs, 1.0)
        return {**whole, **dict(zip(ues, parts.tolist()))}

    def slots_s(self, alone_s: np.ndarray, snrs: np.ndarray) -> np.ndarray:
        """The sending time of each UE, shape (n,).

        Args:
            alone_s: sending time of each UE at 1 nat/s/Hz, shape (n,).
            snrs: SNR of each UE at full power, not in dB, shape (n,).
        """
        return cheapest_slots(alone_s, 1 / snrs, np.log1p(snrs), self.time_s)

    def handed(
        self, state: Turns, link: Link, allocator: Allocator, uploads: Mapping[int, Upload], now_s: float
    ) -> Turns:
        return state._replace(parts={**state.parts, **self.parts(link, uploads, now_s)})

    def join(self, state: Turns, link: Link, upload: Upload, now_s: float) -> Turns:
        return state._replace(band=self._band(state).join(state.band, link, upload, now_s))

    def leave(self, state: Turns, link: Link, ue: int, now_s: float) -> Turns:
        if ue not in state.parts and ue not in state.band.ues:
            return state
        return Turns(self._band(state).leave(state.band, link, ue, now_s), without(state.parts, ue))

    def plan(
        self, state: Turns, link: Link, allocator: Allocator, now_s: float
    ) -> Tuple[Turns, Optional[Arrival]]:
        shared = self._band(state)
        band = shared.at(state.band, link, now_s)
        if not band.ues:
            return state._replace(band=band), None
        band = band._replace(shares=(1.0, *(0.0,) * (len(band.ues) - 1)))
        return state._replace(band=band), shared.first(band, link)

    def arrived(self, state: Turns, link: Link, arrival: Arrival) -> Turns:
        band = self._band(state).arrived(state.band, link, arrival)
        return Turns(band, state.parts if arrival.ue in band.ues else without(state.parts, arrival.ue))

    def sent_mbit(self, state: Turns, link: Link, upload: Upload, now_s: float) -> float:
        return self._band(state).sent_mbit(state.band, link, upload, now_s)

    def airtime_s(self, state: Turns, link: Link, upload: Upload, now_s: float) -> float:
        return self._band(state).airtime_s(state.band, link, upload, now_s)

    def transmits_w(self, state: Turns, link: Link, upload: Upload) -> Optional[float]:
        return self.power_w * state.parts.get(upload.ue, 1.0)

    def _band(self, state: Turns) -> SharedBand:
        return QuieterBand(self.bandwidth_mhz, state.parts)


@dataclass(frozen=True)
class EqualSlots(TdmaEnergy):
    """As `tdma_energy`, but with equal slots, T over the number of UEs, and the least power that fills each.

    A UE that cannot finish in its slot at full power sends at full power for longer. This is the baseline for the
    optimal slots: the powers follow the links, the slots do not.
    """

    def slots_s(self, alone_s: np.ndarray, snrs: np.ndarray) -> np.ndarray:
        return np.maximum(self.time_s / len(alone_s), alone_s / np.log1p(snrs))
