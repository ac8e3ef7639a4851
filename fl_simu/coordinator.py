"""The loop: next event, protocol, actions. It knows no codec, channel, rule or backend by name."""

import math
import time
from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Sequence, Tuple

from fl_simu.in_flight import InFlight
from fl_simu.kernel.clock import Clock
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.messages import (
    ARRIVAL,
    TIMER,
    Aggregate,
    Broadcast,
    Event,
    LayerArrived,
    Ready,
    UploadRefused,
    UploadSkipped,
    UploadStarted,
    WakeAt,
    Woke,
)
from fl_simu.kernel.parameters import Params
from fl_simu.results.records import RoundRecord
from fl_simu.setting import Setting
from fl_simu.station.selection.base import View
from fl_simu.ue.training import Key
from fl_simu.uplink.link import Upload


class Observer:
    """Is told what happens and decides nothing."""

    def fetched(self, ue: int) -> None:
        """The BS has fetched a UE's model."""

    def aggregated(self, record: RoundRecord, coordinator: "Coordinator") -> None:
        """A round has ended; the coordinator stands between two events."""


@dataclass
class Coordinator:
    """The BS and its clock. All below `setting` decides the rest of the run, and is in the checkpoint.

    Args:
        model: the global model.
        in_flight: the uploads under way.
        version: number of aggregations behind the model.
        state: the protocol's.
        server: what the server optimiser remembers.
        selection: what the selection remembers.
        wall_s: what the run has taken so far on the wall clock.
        observers: told of each round, in this order; no part of the checkpoint.
        stopped: whether an observer has ended the run; no part of the checkpoint either.
    """

    setting: Setting
    clock: Clock
    model: Params
    in_flight: InFlight
    version: int = 0
    state: Any = None
    server: Params = field(default_factory=dict)
    selection: Any = ()
    wall_s: float = 0.0
    observers: Sequence[Observer] = ()
    stopped: bool = False

    def stop(self) -> None:
        """End the run with the round that is being told to the observers."""
        self.stopped = True

    def run(self) -> None:
        """Go on until the last round has ended."""
        if self.state is None:
            self.state, self.server = self.setting.protocol.start(), self.setting.server.start(self.model)
            self.selection = self.setting.selection.start()
            self._push(Ready(0.0, 0))
        self._round_began = time.perf_counter()
        while self.version < self.setting.rounds and not self.stopped:
            # 1. Go to the next event.
            if not len(self.clock):
                raise UserError(
                    f"round {self.version + 1} never ends: an upload that it waits for, or the download before "
                    "it, never arrives; a protocol with a deadline bears that"
                )
            event = self._receive(self.clock.pop())
            # 2. Ask the protocol, unless the event is of an upload that was given up.
            if event is None:
                continue
            self.state, actions = self.setting.protocol.on(self.state, event)
            # 3. Carry out what it answers.
            record = None
            for action in actions:
                if isinstance(action, Broadcast):
                    self._broadcast(action.ues)
                elif isinstance(action, WakeAt):
                    self._push(Woke(action.time_s, action.ue, action.version), TIMER)
                else:
                    record = self._aggregate(action)
            # 4. Tell the observers, now that nothing is half done.
            if record:
                for observer in self.observers:
                    observer.aggregated(record, self)

    def _push(self, event: Event, priority: int = ARRIVAL) -> None:
        self.clock.push(event.time_s, event, priority)

    def _receive(self, event: Event) -> Optional[Event]:
        """When there is a new model, select UEs; when a UE has trained, ask whether it sends; when its first layer
        has arrived, get its model."""
        if not isinstance(event, (UploadStarted, LayerArrived)):
            return event._replace(ues=self._select(event)) if isinstance(event, Ready) else event
        ue = event.ue
        if not self.in_flight.expects(ue, event.version):
            return None
        if isinstance(event, UploadStarted) and self.in_flight.skips(ue, lambda: self.setting.backend.peek(ue)):
            self.setting.backend.give_up(ue)
            return UploadSkipped(event.time_s, ue, event.version)
        if isinstance(event, LayerArrived) and ue not in self.in_flight.layers:
            params = self.setting.backend.get(ue)
            for observer in self.observers:
                observer.fetched(ue)
            if not self.in_flight.receive(ue, params):
                return UploadRefused(event.time_s, ue, event.version)
        return event

    def _select(self, event: Ready) -> Tuple[int, ...]:
        """The idle UEs that are handed the new model: as many as a round draws, less those at work."""
        setting, busy = self.setting, self.in_flight.uploads
        idle = [ue for ue in setting.samples if ue not in busy] if busy else list(setting.samples)
        view = View(setting.seed, event.version, event.time_s, setting.samples, idle)
        self.selection, ues = setting.selection.choose(self.selection, view, max(setting.drawn - len(busy), 0))
        return ues

    def _broadcast(self, ues: Tuple[int, ...]) -> None:
        """Send the model, let the UEs train, schedule their uploads; of a UE that fails, or whom the model never
        reaches, nothing comes."""
        setting, version = self.setting, self.version
        uploads: Dict[int, Upload] = {}
        for ue in sorted(ues):
            compute_s, works = setting.compute_s(ue, version), setting.works(ue, version)
            upload = self.in_flight.begin(ue, version, self.clock.now_s, compute_s, works, self.model)
            if upload.start_s < math.inf:
                uploads[ue] = upload
        working = tuple(uploads)
        setting.backend.send(working, self.model)
        setting.backend.train([Key(setting.seed, ue, version) for ue in working])
        for ue in (ue for ue in ues if ue in uploads):
            upload = uploads[ue]
            self._push(UploadStarted(upload.start_s, ue, version))
            for layer, arrival_s in enumerate(upload.arrivals_s):
                if arrival_s < math.inf:
                    self._push(LayerArrived(arrival_s, ue, version, layer, len(upload.arrivals_s)))

    def _aggregate(self, action: Aggregate) -> RoundRecord:
        """Make the new global model, evaluate it, and let go of the uploads that are settled."""
        setting, flight, now_s = self.setting, self.in_flight, self.clock.now_s
        settled = action.layers()
        updates = flight.updates(action, setting.samples)
        combined = setting.aggregation.combine(self.model, updates, len(settled))
        self.server, self.model = setting.server.step(self.server, self.model, combined, self.version)
        evaluation = setting.evaluate(self.model)
        outcomes = tuple(flight.outcome(ue, layers, now_s) for ue, layers in sorted(settled.items()))
        downlink_bits = flight.downlink_bits(settled, now_s)
        for ue in flight.not_fetched():
            if ue in settled:
                setting.backend.give_up(ue)
        flight.settle(settled, now_s)
        flight.losses = (*flight.losses[:1], evaluation.loss)
        self.version += 1
        self._push(Ready(now_s, self.version))
        measures = setting.measures(self.model, settled)
        wall_s, self._round_began = time.perf_counter() - self._round_began, time.perf_counter()
        self.wall_s += wall_s
        bits = sum(outcome.bits for outcome in outcomes)
        return RoundRecord(
            self.version,
            now_s,
            evaluation.accuracy,
            evaluation.loss,
            bits,
            outcomes,
            wall_s,
            downlink_bits,
            measures,
        )
