"""The outcomes of settled uploads, for records and meters."""

import math
from typing import Dict

from fl_simu.loop.setting import Setting
from fl_simu.loop.state import Flight, RunState
from fl_simu.meters.base import UploadView
from fl_simu.radio.link import Upload
from fl_simu.radio.media.base import SharedMedium
from fl_simu.results.records import UeOutcome

NO_METERS: Dict[str, float] = {}


class Outcomes:
    """Reads flights without changing them.

    Args:
        setting, state: of the run.
    """

    def __init__(self, setting: Setting, state: RunState) -> None:
        self.setting = setting
        self.state = state
        self.shared = setting.medium if isinstance(setting.medium, SharedMedium) else None

    def lasted_s(self, ue: int, layers: int, now_s: float) -> float:
        """How long the BS has waited for a UE: until the last layer that it takes, or until now if none."""
        flight = self.state.flights[ue]
        return (flight.upload.arrivals_s[layers - 1] if layers else now_s) - flight.handed_s

    def of(self, ue: int, layers: int, now_s: float) -> UeOutcome:
        """The outcome of an upload that is settled now; `layers` is the number of its layers that were taken."""
        flight = self.state.flights[ue]
        upload = flight.upload
        layers = 0 if flight.refusal else layers
        accepted = "full" if layers == len(upload.sizes_bits) else "base" if layers else "none"
        reason = "" if layers else _reason(flight, now_s)
        bits, download_s = self.sent_bits(upload, now_s), _download_s(flight)
        meters = NO_METERS
        if self.setting.meters:
            work = flight.work
            works = upload.begins or bool(flight.refusal)
            airtime_s = self._airtime_s(flight, now_s)
            epochs = work.epochs * self.setting.models
            processor = self.setting.compute.processor(self.setting.seed, ue)
            sent_w = flight.transmits_w
            if sent_w is None:
                sent_w = self.setting.link.transmit_w(ue, upload.start_s, upload.start_s + airtime_s)
            view = UploadView(
                ue, work.samples, epochs, works, upload.compute_s, airtime_s, bits, accepted, processor, sent_w
            )
            meters = {}
            for meter in self.setting.meters:
                meters.update(meter.upload(view))
        delays_s = upload.delays_s
        if upload.lost >= 0:
            delays_s = (*delays_s[: upload.lost], *(math.inf,) * (len(delays_s) - upload.lost))
        return UeOutcome(ue, upload.compute_s, delays_s, bits, accepted, reason, download_s, meters)

    def _airtime_s(self, flight: Flight, now_s: float) -> float:
        upload = flight.upload
        if now_s <= upload.start_s:
            return 0.0
        if self.shared is None:
            return min(now_s, upload.arrivals_s[-1]) - upload.start_s
        if upload.arrivals_s[-1] <= now_s:
            return flight.airtime_s
        return self.shared.airtime_s(self.state.medium, self.setting.link, upload, now_s)

    def sent_bits(self, upload: Upload, now_s: float) -> int:
        """The bits of an upload that have been sent so far."""
        if self.shared is None or not upload.start_s < now_s < upload.arrivals_s[-1]:
            return self.setting.link.sent_bits(upload, now_s)
        sent_mbit = self.shared.sent_mbit(self.state.medium, self.setting.link, upload, now_s)
        return self.setting.link.bits_of(upload, sent_mbit)


def _download_s(flight: Flight) -> float:
    return flight.download.delays_s[-1] if flight.download else 0.0


def _reason(flight: Flight, now_s: float) -> str:
    upload = flight.upload
    if flight.refusal:
        return flight.refusal
    if not upload.begins:
        return "dropped out" if _download_s(flight) < math.inf else "not reached"
    return "lost" if upload.lost >= 0 and upload.arrivals_s[upload.lost] <= now_s else "late"
