"""The loop: next event, protocol, actions. It refers to no codec, channel, rule or backend by name."""

import itertools
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Callable, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np
import torch

from fl_simu.experiment import Experiment
from fl_simu.kernel.clock import Clock
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.machine import older_objects_set_aside
from fl_simu.kernel.messages import (
    ARRIVAL,
    TIMER,
    Action,
    Aggregate,
    Broadcast,
    Due,
    Event,
    LayerArrived,
    LayerLost,
    Ready,
    Scheduled,
    UploadRefused,
    UploadSkipped,
    UploadStarted,
    WakeAt,
    Woke,
)
from fl_simu.kernel.parameters import Params
from fl_simu.loop.cohorts import Cohorts
from fl_simu.loop.examination import UNKNOWN, Measured, can_wait, measure
from fl_simu.loop.flight import Flights
from fl_simu.loop.setting import Setting
from fl_simu.loop.state import Moment, RunState
from fl_simu.meters.base import RunView
from fl_simu.privacy.base import Intake, Release
from fl_simu.results.records import RoundRecord, Summary, UeOutcome
from fl_simu.station.evaluation import Evaluation
from fl_simu.station.selection.base import Selection, Settled, View
from fl_simu.ue.algorithms.base import Round


class Observer:
    """Is notified of what happens in a run, and decides nothing."""

    def began(self, experiment: Experiment, rounds: int, folder: Optional[Path]) -> None:
        """The run is about to begin, or to resume.

        Args:
            experiment: the experiment of the run.
            rounds: number of rounds that have already ended; 0 for a new run.
            folder: folder of the run; None if it has none.
        """

    def fetched(self, ue: int) -> None:
        """The BS has fetched the model of a UE."""

    def aggregated(self, record: RoundRecord, coordinator: "Coordinator") -> None:
        """A round has ended, with this record. The coordinator is between two events."""

    def ended(self, summary: Optional[Summary]) -> None:
        """The run has ended with this summary; None if it was interrupted, even before it began."""


class Coordinator:
    """The BS and its clock.

    Args:
        setting: what stays the same during the run.
        state: what decides the rest of the run, together with the clock.
        clock: the events to come.
        cohorts: the UEs.
        observers: notified of each round, in this order.

    Attributes:
        edges: the coordinators below it; none if it is the only BS.
    """

    edges: "Sequence[Coordinator]" = ()

    def __init__(
        self,
        setting: Setting,
        state: RunState,
        clock: Clock,
        cohorts: Cohorts,
        observers: Sequence[Observer] = (),
    ) -> None:
        self.setting = setting
        self.state = state
        self.clock = clock
        self.cohorts = cohorts
        self.flights = Flights(setting, state)
        self.observers = observers
        self.stopped = False
        self._measured: Optional[Measured] = None
        # For the last finished round: its pending evaluation, if it runs aside, and the state of the run then.
        self._asked: Optional[Callable[[], Evaluation]] = None
        self._stood: Optional[Moment] = None
        self._left: Sequence[Action] = ()

    @property
    def model(self) -> Params:
        """The global model."""
        return self.state.model

    @property
    def version(self) -> int:
        """Number of aggregations that led to the global model."""
        return self.state.version

    @property
    def over(self) -> bool:
        """Whether the run is over: all rounds have ended, a limit is reached, or an observer has stopped it."""
        return self.state.version >= self.setting.rounds or self.stopped or self.state.ended

    def stop(self) -> None:
        """End the run after the round of which the observers are being notified."""
        self.stopped = True

    def run(self) -> None:
        """Run until the last round has ended."""
        state, setting = self.state, self.setting
        if state.protocol is None:
            state.protocol, state.server = setting.protocol.start(), setting.server.start(state.model)
            state.taken = torch.zeros(setting.places, dtype=torch.int64)
            state.selection, state.station = setting.selection.start(), setting.algorithm.station(state.model)
            state.privacy = setting.privacy.start()
            if self.flights.shared:
                state.medium = self.flights.shared.start()
            self._push(Ready(0.0, 0))
        self._round_began = time.perf_counter()
        with older_objects_set_aside():
            while not self.over:
                # The remaining actions of a round that began early, or those from the next event.
                actions, self._left = self._left or self._answers(), ()
                record = self._carry_out(actions)
                if record:
                    self._tell(record)

    def _answers(self) -> Sequence[Action]:
        """Advance to the next event and ask the protocol for the BS's actions."""
        state = self.state
        # Before time advances, schedule the next arrival on the shared medium as an event.
        if state.replan and self.clock.next_place() > (self.clock.now_s, ARRIVAL):
            due = self.flights.plan(self.clock.now_s)
            if due:
                self._push(due)
        if not len(self.clock):
            raise UserError(
                f"round {state.version + 1} never ends: an upload that it waits for, or the download before "
                "it, never arrives; a protocol with a deadline bears that"
            )
        event = self._receive(self.clock.pop())
        if event is None:
            # It belongs to an upload that was given up.
            return ()
        state.protocol, actions = self.setting.protocol.on(state.protocol, event)
        return actions

    def _carry_out(self, actions: Sequence[Action]) -> Optional[RoundRecord]:
        """Carry out the protocol's actions; return the record of the round that they end, if any."""
        record = None
        for action in actions:
            if isinstance(action, Broadcast):
                self._broadcast(action.ues)
            elif isinstance(action, WakeAt):
                self._push(Woke(action.time_s, action.ue, action.version), TIMER)
            else:
                record = self._aggregate(action)
        return record

    def _tell(self, record: RoundRecord) -> None:
        """Notify the observers of a finished round. If its model is evaluated aside, the next round begins first,
        but the observers see the run as it was before that."""
        asked, self._asked = self._asked, None
        failure = None
        if asked:
            self._stood = self.moment()
            try:
                self._begin_early()
            except UserError as error:
                failure = error
            record = self._completed(record, asked())
        for observer in self.observers:
            observer.aggregated(record, self)
        self._stood = None
        if failure:
            raise failure

    def _begin_early(self) -> None:
        """Begin the next round if it is the next event; postpone an immediate aggregation and later actions."""
        if isinstance(self.clock.first(), Ready):
            actions = self._answers()
            begun = list(itertools.takewhile(lambda action: not isinstance(action, Aggregate), actions))
            self._carry_out(begun)
            self._left = actions[len(begun) :]

    def _completed(self, record: RoundRecord, evaluation: Evaluation) -> RoundRecord:
        """The record with the evaluation that it was waiting for."""
        self._measured = Measured(record.round, evaluation, None, {})
        assert self._stood is not None
        stood = self._stood.run
        stood.losses = self.state.losses = (*stood.losses[:1], evaluation.loss)
        return replace(record, accuracy=evaluation.accuracy, loss=evaluation.loss)

    def moment(self) -> Moment:
        """The state of the run between two events, for a checkpoint; without a round that has begun early."""
        if self._stood:
            return self._stood
        edges = tuple(edge.moment() for edge in self.edges)
        return Moment(self.clock.now_s, self.clock.pending(), self.state.copy(), edges)

    def _push(self, event: Scheduled, priority: int = ARRIVAL) -> None:
        self.clock.push(event.time_s, event, priority)

    def _receive(self, scheduled: Scheduled) -> Optional[Event]:
        """For a new model, select UEs; for a UE that has trained, ask whether it sends; for a first layer that has
        arrived, fetch the model."""
        event = self.flights.arrive(scheduled) if isinstance(scheduled, Due) else scheduled
        if not isinstance(event, (UploadStarted, LayerArrived)):
            return event._replace(ues=self._select(event)) if isinstance(event, Ready) else event
        ue = event.ue
        if not self.flights.expects(ue, event.version):
            return None
        if isinstance(event, UploadStarted):
            if self.flights.skips(ue, lambda: self.cohorts.peek(ue), event.time_s):
                self._give_up(ue)
                return UploadSkipped(event.time_s, ue, event.version)
            if self.flights.shared:
                self.flights.send(ue, event.time_s)
        elif self.flights.loses(event):
            return self._lose(event)
        elif not self.state.flights[ue].layers:
            sent = self.cohorts.fetch(ue)
            for observer in self.observers:
                observer.fetched(ue)
            if not self.flights.receive(ue, *sent):
                return UploadRefused(event.time_s, ue, event.version)
        if isinstance(event, LayerArrived) and event.layer + 1 == event.layers and self.cohorts.backend.aside:
            self.flights.decode_early(ue)
        return event

    def _lose(self, event: LayerArrived) -> Optional[LayerLost]:
        """Report a lost layer to the BS once; if it is the base, the BS never fetches the model."""
        flight = self.state.flights[event.ue]
        if event.layer > flight.upload.lost:
            return None
        if not flight.layers:
            flight.refusal = "lost"
            self._give_up(event.ue)
        return LayerLost(event.time_s, event.ue, event.version, event.layer)

    def _give_up(self, ue: int) -> None:
        # A model that is too late to be fetched still counts in the round's attack measures.
        self.state.flights[ue].sent = self.cohorts.give_up(ue)

    def _select(self, event: Ready) -> Tuple[int, ...]:
        """Select idle UEs for the new model: as many as a round draws, minus those at work."""
        setting, busy = self.setting, self.state.flights
        idle = [ue for ue in setting.samples if ue not in busy] if busy else list(setting.samples)
        flights = self.flights
        view = View(
            setting.seed,
            event.version,
            event.time_s,
            setting.samples,
            idle,
            lambda ue: flights.rate_mbps(ue, event.version, event.time_s),
            lambda ue: flights.upload_s(ue, event.version, event.time_s),
            lambda ue: flights.compute_s(ue, event.version),
            lambda ue: setting.loss_of(self.cohorts.handed(ue, self.state.model), ue),
        )
        free = max(setting.drawn - len(busy), 0)
        self.state.selection, ues = setting.selection.choose(self.state.selection, view, free)
        return ues

    def _broadcast(self, ues: Tuple[int, ...]) -> None:
        """Send the model, let the UEs train, and schedule their uploads. A UE that fails or that the model never
        reaches sends nothing."""
        state, version = self.state, self.state.version
        state.begun += 1
        state.sealing = tuple(sorted(ues)) if self.setting.secure.active else ()
        selection, now_s = self.setting.selection, self.clock.now_s
        drawn = sorted(ues)
        copies = self.flights.downloads.send(drawn, version, now_s)
        able = self.setting.faults.working(self.setting.seed, drawn, version).tolist()
        uploads = {
            ue: self.flights.begin(
                ue, version, now_s, state.model, copies.get(ue), selection.weight(state.selection, ue), works
            )
            for ue, works in zip(drawn, able)
        }
        working = [ue for ue, upload in uploads.items() if upload.begins]
        self.flights.handed({ue: uploads[ue] for ue in working}, now_s)
        self.cohorts.train(working, version, state.model)
        for ue in ues:
            upload = uploads[ue]
            if not upload.begins:
                continue
            self._push(UploadStarted(upload.start_s, ue, version))
            for layer, arrival_s in enumerate(upload.arrivals_s):
                if arrival_s < math.inf:
                    self._push(LayerArrived(arrival_s, ue, version, layer, len(upload.arrivals_s)))

    def _aggregate(self, action: Aggregate) -> RoundRecord:
        """Make the new global model, evaluate it, and remove the settled uploads."""
        setting, state, flights, now_s = self.setting, self.state, self.flights, self.clock.now_s
        settled = action.layers()
        intake = Intake(setting.privacy, state.privacy, state.model, flights.updates(action))
        combined = setting.aggregation.combine(state.model, intake, len(settled))
        outcomes = tuple(flights.outcomes.of(ue, layers, now_s) for ue, layers in sorted(settled.items()))
        sent = tuple(outcome.ue for outcome in outcomes if outcome.bits)
        norms = {ue: intake.norms.get(ue, 0.0) for ue in flights.taken}
        released = Release(setting.seed, state.version, len(setting.full), setting.drawn, state.model, norms, sent)
        state.privacy, combined, private = setting.privacy.release(state.privacy, released, combined)
        made = Round(state.model, combined, flights.messages, len(flights.taken), len(setting.full))
        state.station, combined = setting.algorithm.gather(state.station, made)
        state.server, state.model = setting.server.step(state.server, state.model, combined, state.version)
        downlink_bits = flights.downloads.bits(settled, now_s)
        bits = sum(outcome.bits for outcome in outcomes)
        accepted = tuple(outcome.ue for outcome in outcomes if outcome.accepted != "none")
        if type(setting.selection).settled is not Selection.settled:
            state.selection = setting.selection.settled(state.selection, self._told(settled, accepted))
        counts = state.taken.numpy().copy()
        counts[list(accepted)] += 1
        flights.batteries.drain(outcomes, now_s)
        state.taken = torch.from_numpy(counts)
        meters: Dict[str, float] = {**private, **flights.heard, **self._metered(outcomes)}
        evaluation = self._evaluate(bits, meters)
        for ue in state.not_fetched():
            if ue in settled:
                self._give_up(ue)
        attack = None
        if setting.measures:
            models = {ue: state.flights[ue].sent for ue in settled}
            attack = setting.measures(state.model, {ue: params for ue, params in models.items() if params})
        flights.settle(settled, now_s)
        self.cohorts.forget()
        state.version += 1
        self._push(Ready(now_s, state.version))
        wall_s, self._round_began = time.perf_counter() - self._round_began, time.perf_counter()
        state.wall_s += wall_s
        return RoundRecord(
            state.version,
            now_s,
            evaluation.accuracy,
            evaluation.loss,
            bits,
            outcomes,
            wall_s,
            downlink_bits,
            attack,
            meters,
        )

    def _metered(self, outcomes: Sequence[UeOutcome]) -> Dict[str, float]:
        """The meters' numbers for a round with these outcomes, and for all rounds so far."""
        found: Dict[str, float] = {}
        so_far = RunView(self.state.taken.numpy().copy(), lambda: self._empty(self.clock.now_s))
        for meter in self.setting.meters:
            found.update(meter.round([outcome.meters for outcome in outcomes]))
            found.update(meter.so_far(so_far))
        return found

    def _empty(self, now_s: float) -> int:
        """Number of UEs without enough energy to take part."""
        return self.flights.batteries.empty(now_s)

    def _told(self, settled: Mapping[int, int], accepted: Tuple[int, ...]) -> Settled:
        """The selection's view of settled uploads, given the number of layers that the protocol took of each."""
        flights, now_s, taken = self.flights, self.clock.now_s, set(accepted)
        layers = {ue: settled[ue] if ue in taken else 0 for ue in sorted(settled)}

        def losses(ue: int) -> np.ndarray:
            return self.setting.losses_of(self.cohorts.handed(ue, self.state.flights[ue].start), ue)

        lasted_s = {ue: flights.outcomes.lasted_s(ue, count, now_s) for ue, count in layers.items()}
        version = self.state.version + 1
        return Settled(version, now_s, accepted, lasted_s, losses, lambda ue: flights.norm(ue, layers[ue]))

    def _evaluate(self, bits: int, meters: Dict[str, float]) -> Evaluation:
        """Accuracy and loss of the new model, if it is evaluated; adds the meters' numbers for it, and decides
        whether the run ends with this round."""
        setting, state, round = self.setting, self.state, self.state.version + 1
        amounts = {"uplink_bits": float(bits), "energy_j": meters.get("energy_j", 0.0)}
        state.spent = {name: state.spent.get(name, 0.0) + amount for name, amount in amounts.items()}
        state.ended = setting.stop.spent({**state.spent, "time_s": self.clock.now_s})
        if not state.ended and round % setting.evaluate_every and round < setting.rounds:
            return UNKNOWN
        if self._evaluates_aside():
            assert setting.aside is not None
            self._asked = setting.aside(state.model)
            return UNKNOWN
        self._measured = measured = self._measure(round)
        evaluation = measured.evaluation
        state.losses = (*state.losses[:1], evaluation.loss)
        meters.update(measured.meters)
        state.ended = state.ended or setting.stop.reached(evaluation.accuracy)
        return evaluation

    def _evaluates_aside(self) -> bool:
        """Whether the next round can begin before the new model is evaluated."""
        last = self.state.ended or self.state.version + 1 >= self.setting.rounds
        return not (last or self.edges or self.cohorts.local) and can_wait(self.setting)

    def measured(self) -> Measured:
        """The evaluation of the global model; it is made now if missing, for example after a resume."""
        if self._measured is None or self._measured.version != self.state.version:
            self._measured = self._measure(self.state.version)
        return self._measured

    def own_models(self) -> Dict[int, Params]:
        """The models of the UEs that do not use the global model."""
        return self.cohorts.own_models(self.state.model)

    def _measure(self, version: int) -> Measured:
        return measure(self.setting, version, self.state.model, self.own_models(), bool(self.cohorts.local))
