"""Edges below a cloud: each edge is a coordinator; the cloud waits for all edges and averages their models."""

import itertools
import math
import time
from dataclasses import replace
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import numpy as np
import torch

from fl_simu.kernel.clock import Clock
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.parameters import Params, structure_of
from fl_simu.kernel.randomness import torch_seed
from fl_simu.loop.cohorts import Cohorts
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.loop.setting import Setting
from fl_simu.loop.state import RunState
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.results.records import RoundRecord, UeOutcome
from fl_simu.station.aggregation.means import Sum
from fl_simu.station.evaluation import Evaluation
from fl_simu.station.selection.base import Selection, Settled, View
from fl_simu.station.server.base import Replace
from fl_simu.topology.base import Topology


class AmongItsOwn(Selection):
    """A selection at one edge; it sees the edge's UEs numbered from 0.

    Args:
        selection: the experiment's.
        ues: the UEs of the edge, ascending.
        seed: of its draws, so that the draws of the edges are independent.
    """

    def __init__(self, selection: Selection, ues: Sequence[int], seed: int) -> None:
        self._selection = selection
        self._ues = ues
        self._place = {ue: place for place, ue in enumerate(ues)}
        self._seed = seed

    def start(self) -> Any:
        return self._selection.start()

    def choose(self, state: Any, view: View, free: int) -> Tuple[Any, Tuple[int, ...]]:
        ues = self._ues
        seen = View(
            self._seed,
            view.version,
            view.now_s,
            {place: view.samples[ue] for place, ue in enumerate(ues)},
            [self._place[ue] for ue in view.idle],
            lambda place: view.rate_mbps(ues[place]),
            lambda place: view.upload_s(ues[place]),
            lambda place: view.compute_s(ues[place]),
            lambda place: view.loss(ues[place]),
        )
        state, places = self._selection.choose(state, seen, free)
        return state, tuple(ues[place] for place in places)

    def weight(self, state: Any, ue: int) -> float:
        return self._selection.weight(state, self._place[ue])

    def settled(self, state: Any, round: Settled) -> Any:
        place, ues = self._place, self._ues
        seen = Settled(
            round.version,
            round.now_s,
            tuple(place[ue] for ue in round.accepted),
            {place[ue]: lasted_s for ue, lasted_s in round.lasted_s.items()},
            lambda at: round.losses(ues[at]),
            lambda at: round.norm(ues[at]),
        )
        return self._selection.settled(state, seen)


class Edge(Coordinator):
    """The BS of some of the UEs. It runs up to `goal` edge rounds, and does not evaluate."""

    goal = 0

    @property
    def over(self) -> bool:
        return self.state.version >= self.goal

    def _evaluate(self, bits: int, meters: Dict[str, float]) -> Evaluation:
        return Evaluation(math.nan, math.nan)

    def hand(self, model: Params, time_s: float, losses: Tuple[float, ...]) -> None:
        """Continue with a model from the cloud, from the time at which it arrives.

        Raises:
            UserError: uploads are in flight at that time on a shared medium.
        """
        self.state.model, self.state.losses = model, losses
        if time_s > self.clock.now_s:
            if self.flights.shared and self.state.flights:
                raise UserError(
                    "an upload is under way on a shared medium while its edge waits for the cloud: take a "
                    "protocol in rounds"
                )
            postpone(self.clock, time_s)


def postpone(clock: Clock, time_s: float) -> None:
    """Pause a BS until a time: earlier events occur at that time, in the same order. The first of them is `Ready`,
    which has been pending since its round ended."""
    moved = [
        (max(then_s, time_s), priority, event._replace(time_s=max(then_s, time_s)))
        for then_s, priority, _, event in clock.pending()
    ]
    clock.restore(time_s, [(then_s, priority, at, event) for at, (then_s, priority, event) in enumerate(moved)])


class _Collected(Observer):
    """Keeps an edge's records, and notifies the other observers of fetched models."""

    def __init__(self, others: Sequence[Observer]) -> None:
        self.records: List[RoundRecord] = []
        self._others = others

    def fetched(self, ue: int) -> None:
        for observer in self._others:
            observer.fetched(ue)

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        self.records.append(record)


class Reported(NamedTuple):
    """The result of an edge since the cloud's last model.

    Args:
        arrival_s: when its model arrives at the cloud [s].
        weight: its weight in the cloud's mean.
        down_s: how long the cloud's model takes to the edge [s].
        copies: number of models that cross its backhaul.
        records: of its rounds.
    """

    arrival_s: float
    weight: float
    down_s: float
    copies: int
    records: Sequence[RoundRecord]


class Cloud(Coordinator):
    """The coordinator above the edges. Its state is that of the complete run, except for the states of the edges.

    Args:
        setting: of all UEs.
        state: contains the cloud's model.
        clock: its time is when the cloud makes a model.
        cohorts: all UEs; the cloud itself trains none.
        topology: of the edges.
        groups: the UEs of each edge.
        observers: notified of each round of the cloud.
    """

    edges: Sequence[Edge] = ()

    def __init__(
        self,
        setting: Setting,
        state: RunState,
        clock: Clock,
        cohorts: Cohorts,
        topology: Topology,
        groups: Sequence[Sequence[int]],
        observers: Sequence[Observer] = (),
    ) -> None:
        super().__init__(setting, state, clock, cohorts, observers)
        self.topology = topology
        size_bits = setting.link.size.layer_bits(Float32(), structure_of(state.model))
        self._model_bits = sum(size_bits)
        self._load_mbit = sum(map(setting.link.size.load_mbit, size_bits))
        self.edges = [self._edge(number, ues) for number, ues in enumerate(groups)]

    def _edge(self, number: int, ues: Sequence[int]) -> Edge:
        setting, state = self.setting, RunState(self.state.model)
        # A single edge makes the same draws as a BS with all UEs.
        seed = torch_seed(setting.seed, "edge", number) if number else setting.seed
        own = replace(
            setting,
            rounds=setting.rounds * self.topology.rounds_each,
            full={ue: setting.full[ue] for ue in ues},
            drawn=min(setting.drawn, len(ues)),
            selection=AmongItsOwn(setting.selection, ues, seed),
            server=Replace(),
        )
        return Edge(own, state, Clock(), self.cohorts.of(state), [_Collected(self.observers)])

    def run(self) -> None:
        state, setting = self.state, self.setting
        if not len(state.taken):
            state.server = setting.server.start(state.model)
            state.taken = torch.zeros(setting.places, dtype=torch.int64)
        while not self.over:
            began = time.perf_counter()
            reports = [self._report(number, edge) for number, edge in enumerate(self.edges)]
            self.clock.push(max(report.arrival_s for report in reports), reports)
            record = self._gather(self.clock.pop(), began)
            for observer in self.observers:
                observer.aggregated(record, self)

    def _report(self, number: int, edge: Edge) -> Reported:
        """Let an edge run its rounds."""
        collected = _Collected(self.observers)
        edge.observers = [collected]
        edge.goal = (self.state.version + 1) * self.topology.rounds_each
        edge.run()
        samples = edge.setting.samples
        outcomes = [outcome for record in collected.records for outcome in record.ues]
        accepted = sum(samples[outcome.ue] for outcome in outcomes if outcome.accepted != "none")
        way = self.topology.backhaul(number, self._load_mbit)
        weight = self.topology.weight(sum(samples.values()), accepted)
        return Reported(edge.clock.now_s + way.up_s, weight, way.down_s, way.copies, collected.records)

    def _gather(self, reports: Sequence[Reported], began: float) -> RoundRecord:
        """Make the next global model, evaluate it, and give it to the edges."""
        state, setting, now_s = self.state, self.setting, self.clock.now_s
        combined = self._mean([report.weight for report in reports])
        state.server, state.model = setting.server.step(state.server, state.model, combined, state.version)
        records = list(itertools.chain.from_iterable(report.records for report in reports))
        outcomes = _by_ue(records)
        bits = sum(outcome.bits for outcome in outcomes)
        counts = state.taken.numpy().copy()
        np.add.at(counts, [outcome.ue for outcome in outcomes if outcome.accepted != "none"], 1)
        state.taken = torch.from_numpy(counts)
        backhaul_bits = float(self._model_bits * sum(report.copies for report in reports))
        meters: Dict[str, float] = {"backhaul_bits": backhaul_bits, **self._metered(outcomes)}
        evaluation = self._evaluate(bits, meters)
        state.version += 1
        for edge, report in zip(self.edges, reports):
            edge.hand(state.model, now_s + report.down_s, state.losses)
        wall_s = time.perf_counter() - began
        state.wall_s += wall_s
        downlink_bits = sum(record.downlink_bits for record in records)
        return RoundRecord(
            state.version,
            now_s,
            evaluation.accuracy,
            evaluation.loss,
            bits,
            outcomes,
            wall_s,
            downlink_bits,
            None,
            meters,
        )

    def _mean(self, weights: Sequence[float]) -> Params:
        """The mean of the edges' models; a single model with a weight is not averaged, as a mean may round."""
        counting = [(edge.model, weight) for edge, weight in zip(self.edges, weights) if weight]
        if len(counting) == 1:
            return counting[0][0]
        summed = Sum(self.state.model)
        for model, weight in counting:
            summed.add(model, weight)
        return summed.mean()

    def _empty(self, now_s: float) -> int:
        return sum(edge.flights.batteries.empty(now_s) for edge in self.edges)

    def own_models(self) -> Dict[int, Params]:
        found = {}
        for edge in self.edges:
            found.update(edge.cohorts.own_models(self.state.model, edge.setting.samples))
        return {ue: found[ue] for ue in sorted(found)}


def _by_ue(records: Sequence[RoundRecord]) -> Tuple[UeOutcome, ...]:
    """All outcomes, sorted by UE, and for each UE in the order of its edge's rounds."""
    outcomes = itertools.chain.from_iterable(record.ues for record in records)
    return tuple(sorted(outcomes, key=lambda outcome: outcome.ue))
