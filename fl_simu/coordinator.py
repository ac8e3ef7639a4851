"""The loop: next event, protocol, actions. It knows no codec, channel, rule or backend by name."""

import time
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, Iterator, Mapping, Optional, Sequence, Tuple

from fl_simu.backends.base import Backend
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
    Taken,
    Update,
    UploadRefused,
    UploadStarted,
    WakeAt,
    Woke,
)
from fl_simu.kernel.parameters import Params, all_finite, structure_of
from fl_simu.results.records import RoundRecord, UeOutcome
from fl_simu.station.aggregation import Aggregation
from fl_simu.station.evaluation import Evaluation
from fl_simu.station.protocols import Protocol
from fl_simu.ue.training import Key
from fl_simu.uplink.link import Link, Upload


class Observer:
    """Is told what happens and decides nothing."""

    def fetched(self, ue: int) -> None:
        """The BS has fetched a UE's model."""

    def aggregated(self, record: RoundRecord, coordinator: "Coordinator") -> None:
        """A round has ended; the coordinator stands between two events."""


@dataclass
class Setting:
    """What the coordinator works with; all of it stays as it is during a run.

    Args:
        seed: of every draw.
        rounds: number of aggregations.
        backend, link, protocol, aggregation: one part each.
        evaluate: accuracy and loss of a global model.
        draw: the UEs of the round that starts from a version.
        compute_s: virtual time that a UE trains, of (ue, version).
        samples: number of samples of each UE.
        observers: told of each round, in this order.
    """

    seed: int
    rounds: int
    backend: Backend
    link: Link
    protocol: Protocol
    aggregation: Aggregation
    evaluate: Callable[[Params], Evaluation]
    draw: Callable[[int], Tuple[int, ...]]
    compute_s: Callable[[int, int], float]
    samples: Mapping[int, int]
    observers: Sequence[Observer] = ()


@dataclass
class Coordinator:
    """The BS and its clock. Everything below `setting` decides the rest of the run and is in the checkpoint.

    Args:
        model: the global model.
        version: number of aggregations behind it.
        state: the protocol's.
        uploads: what each UE is sending, or will when it has trained.
        references: the global models that these UEs started from, by version.
        inbox: the layers of each upload that has reached the BS; None for one that the BS refused.
    """

    setting: Setting
    clock: Clock
    model: Params
    version: int = 0
    state: Any = None
    uploads: Dict[int, Upload] = field(default_factory=dict)
    references: Dict[int, Params] = field(default_factory=dict)
    inbox: Dict[int, Optional[Tuple[bytes, ...]]] = field(default_factory=dict)
    wall_s: float = 0.0

    def run(self) -> None:
        """Go on until the last round has ended."""
        if self.state is None:
            self.state = self.setting.protocol.start()
            self._push(Ready(0.0, 0, self.setting.draw(0)))
        self._wall_start = time.perf_counter()
        while self.version < self.setting.rounds:
            # 1. Go to the next event.
            if not len(self.clock):
                raise UserError(f"round {self.version + 1} never ends: an upload that it waits for never arrives")
            event = self.clock.pop()
            # 2. If it is an arrival, bring in the model that has arrived; forget it if its upload was given up.
            event = self._receive(event)
            if event is None:
                continue
            # 3. Ask the protocol.
            self.state, actions = self.setting.protocol.on(self.state, event)
            # 4. Carry out what it answers.
            record = None
            for action in actions:
                if isinstance(action, Broadcast):
                    self._broadcast(action.ues)
                elif isinstance(action, WakeAt):
                    self._push(Woke(action.time_s, action.ue, action.version), TIMER)
                else:
                    record = self._aggregate(action)
            # 5. Tell the observers, now that nothing is half done.
            if record:
                for observer in self.setting.observers:
                    observer.aggregated(record, self)

    def _push(self, event: Event, priority: int = ARRIVAL) -> None:
        self.clock.push(event.time_s, event, priority)

    def _broadcast(self, ues: Tuple[int, ...]) -> None:
        """Send the model, let the UEs train, schedule their uploads."""
        setting, now_s = self.setting, self.clock.now_s
        setting.backend.send(ues, self.model)
        setting.backend.train([Key(setting.seed, ue, self.version) for ue in ues])
        self.references[self.version] = self.model
        structure = structure_of(self.model)
        for ue in ues:
            start_s = now_s + setting.compute_s(ue, self.version)
            upload = setting.link.transmit(ue, self.version, start_s, structure)
            self.uploads[ue] = upload
            self._push(UploadStarted(start_s, ue, self.version))
            for layer, arrival_s in enumerate(upload.arrivals_s):
                if arrival_s < float("inf"):
                    self._push(LayerArrived(arrival_s, ue, self.version, layer, len(upload.arrivals_s)))

    def _receive(self, event: Event) -> Optional[Event]:
        """At the first layer's arrival get the model from the UE; refuse it if it is not finite."""
        if not isinstance(event, (UploadStarted, LayerArrived)):
            return event
        upload = self.uploads.get(event.ue)
        if upload is None or upload.version != event.version or self.inbox.get(event.ue, ()) is None:
            return None
        if isinstance(event, LayerArrived) and event.ue not in self.inbox:
            params = self.setting.backend.get(event.ue)
            for observer in self.setting.observers:
                observer.fetched(event.ue)
            if not all_finite(params):
                self.inbox[event.ue] = None
                return UploadRefused(event.time_s, event.ue, event.version)
            self.inbox[event.ue] = self.setting.link.encode(params, self.references[event.version])
        return event

    def _aggregate(self, action: Aggregate) -> RoundRecord:
        """Make the new global model, evaluate it, and let go of the uploads that are settled."""
        setting = self.setting
        settled = {ue: self.uploads[ue] for ue in action.settled()}
        updates = self._decode(action.taken)
        self.model = setting.aggregation.combine(self.model, updates, len(settled))
        evaluation = setting.evaluate(self.model)
        outcomes = tuple(self._outcome(upload, action.layers(ue)) for ue, upload in sorted(settled.items()))
        for ue in settled:
            del self.uploads[ue]
            self.inbox.pop(ue, None)
        in_flight = {upload.version for upload in self.uploads.values()}
        self.references = {version: self.references[version] for version in in_flight}
        self.version += 1
        now_s = self.clock.now_s
        self._push(Ready(now_s, self.version, setting.draw(self.version)))
        wall_s = time.perf_counter() - self._wall_start
        self._wall_start += wall_s
        self.wall_s += wall_s
        return RoundRecord(
            self.version,
            now_s,
            evaluation.accuracy,
            evaluation.loss,
            sum(outcome.bits for outcome in outcomes),
            outcomes,
            wall_s,
        )

    def _decode(self, taken: Tuple[Taken, ...]) -> Iterator[Update]:
        for choice in taken:
            upload, layers = self.uploads[choice.ue], self.inbox[choice.ue]
            assert layers is not None
            params = self.setting.link.decode(layers[: choice.layers], self.references[upload.version])
            yield Update(choice.ue, upload.version, self.setting.samples[choice.ue], params, choice.weight)

    def _outcome(self, upload: Upload, layers: int) -> UeOutcome:
        """What became of one upload; `layers` is how many of its layers were taken."""
        ue, complete = upload.ue, len(upload.sizes_bits)
        accepted = "full" if layers == complete else "base" if layers else "none"
        reason = "" if layers else "not finite" if self.inbox.get(ue, ()) is None else "late"
        bits = self.setting.link.sent_bits(upload, self.clock.now_s)
        compute_s = self.setting.compute_s(ue, upload.version)
        return UeOutcome(ue, compute_s, upload.delays_s, bits, accepted, reason)
