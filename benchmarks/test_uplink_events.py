"""Clock, protocol and channel alone: uploads per second through the coordinator, without training or encoding."""

import itertools
import time
from dataclasses import dataclass
from typing import Any, Iterable, Tuple

import numpy as np
import pytest
from idle import Idle

from fl_simu.kernel.clock import Clock
from fl_simu.kernel.messages import Taken, Update
from fl_simu.kernel.parameters import Params
from fl_simu.loop.cohorts import Cohorts
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.loop.flight import Flights
from fl_simu.loop.setting import Setting
from fl_simu.loop.state import RunState
from fl_simu.models import MODELS
from fl_simu.radio.bits import FixedBits
from fl_simu.radio.channels.fading import Fading
from fl_simu.radio.channels.normal import Normal
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.link import Link
from fl_simu.radio.media.base import Medium, Orthogonal
from fl_simu.radio.media.shared_band import SharedBand
from fl_simu.radio.sizes import NotesCount
from fl_simu.results.records import RoundRecord
from fl_simu.station.aggregation.base import Aggregation
from fl_simu.station.evaluation import Evaluation
from fl_simu.station.protocols import BaseThenEnhancement, Buffered, Deadline, FirstK, WaitForAll
from fl_simu.station.selection import RandomDraw
from fl_simu.station.server import Replace
from fl_simu.ue.algorithms import FedAvg
from fl_simu.ue.algorithms.base import Groups
from fl_simu.ue.compute import ConstantCompute
from fl_simu.ue.faults import NoFaults
from fl_simu.ue.training import NOTHING, initial_params
from fl_simu.ue.work import Work

UPLOADS = 10_000
GOAL = 60_000
SHARED_GOAL = 5_000
SEEDS = itertools.count(1)
ORTHOGONAL = Orthogonal()
PROTOCOLS = {
    "wait_for_all": lambda ues: WaitForAll(),
    "deadline": lambda ues: Deadline(3.0),
    "base_then_enhancement": lambda ues: BaseThenEnhancement(),
    "first_k": lambda ues: FirstK(ues // 2),
    "buffered": lambda ues: Buffered(ues // 10),
}
# A small cell with the whole band for each UE: uploads take seconds, as on the normal channel; none is endless.
CHANNELS = {"normal": Normal(), "fading": Fading(radius_m=100.0, shadowing_db=4.0, shares=1)}


class Weightless(Flights):
    """Uploads with real sizes but no content: nothing is encoded on arrival or decoded when it is used."""

    def receive(self, ue: int, params: Params, message: Groups = NOTHING) -> bool:
        self.state.flights[ue].layers = (b"",)
        return True

    def take(self, choice: Taken) -> Any:
        return None


@dataclass(frozen=True)
class Local:
    """The only attributes of local training that the loop needs."""

    keep_optimizer_state: bool = False
    optimizer: None = None


class Unchanged(Aggregation):
    """The model does not change; the updates are only iterated over."""

    def combine(self, current: Params, updates: Iterable[Update], drawn: int) -> Params:
        for _ in updates:
            pass
        return current


class Tally(Observer):
    """Counts the uploads that were settled, whether used or not."""

    def __init__(self) -> None:
        self.uploads = 0

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        self.uploads += len(record.ues)


@pytest.fixture(scope="module")
def model() -> Params:
    return initial_params(lambda: MODELS["mnist_cnn"]().build((1, 28, 28), 10), seed=1)


def fresh(model: Params, protocol: str, channel: str, ues: int, medium: Medium = ORTHOGONAL) -> Coordinator:
    """A run before its first event. Its seed is new, so no draw is cached from an earlier run."""
    seed = next(SEEDS)
    link = Link(Affine(2, (2,)), CHANNELS[channel], NotesCount(), "update", seed)
    settled = ues if protocol != "buffered" else ues // 10
    setting = Setting(
        seed=seed,
        rounds=UPLOADS // settled,
        drawn=ues,
        full=dict.fromkeys(range(ues), Work(1, 1, 1)),
        evaluate=lambda params: Evaluation(0.0, 0.0),
        accuracies=lambda params: np.zeros(ues),
        link=link,
        protocol=PROTOCOLS[protocol](ues),
        algorithm=FedAvg(),
        aggregation=Unchanged(),
        server=Replace(),
        selection=RandomDraw(),
        compute=ConstantCompute(1.0),
        faults=NoFaults(),
        bits=FixedBits(),
        medium=medium,
    )
    state = RunState(model)
    cohorts = Cohorts(Idle(Local()), seed, state, setting.algorithm, setting.full)
    coordinator = Coordinator(setting, state, Clock(), cohorts, [Tally()])
    coordinator.flights = Weightless(setting, state)
    return coordinator


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("ues", [100, 1000])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("channel", CHANNELS)
def test_uploads_a_second(channel, protocol, ues, model, benchmark, report):
    runs = []

    def setup() -> Tuple[Tuple[Coordinator], dict]:
        runs.append(fresh(model, protocol, channel, ues))
        return (runs[-1],), {}

    benchmark.pedantic(Coordinator.run, setup=setup, rounds=5, warmup_rounds=1)
    assert all(run.observers[0].uploads == UPLOADS for run in runs)
    median_s, least_s = benchmark.stats.stats.median, benchmark.stats.stats.min
    report.add(
        f"uploads a second, {channel}, {protocol}, {ues} UEs a round",
        f"{UPLOADS / median_s:,.0f} (most {UPLOADS / least_s:,.0f})",
        f">= {GOAL:,}",
        median_s=median_s,
        least_s=least_s,
    )


@pytest.mark.benchmark(timer=time.process_time)
def test_uploads_a_second_that_share_a_band(model, benchmark, report):
    runs = []

    def setup() -> Tuple[Tuple[Coordinator], dict]:
        runs.append(fresh(model, "wait_for_all", "fading", 100, SharedBand()))
        return (runs[-1],), {}

    benchmark.pedantic(Coordinator.run, setup=setup, rounds=3, warmup_rounds=1)
    assert all(run.observers[0].uploads == UPLOADS for run in runs)
    median_s, least_s = benchmark.stats.stats.median, benchmark.stats.stats.min
    report.add(
        "uploads a second, 100 UEs that share a band over fading",
        f"{UPLOADS / median_s:,.0f} (most {UPLOADS / least_s:,.0f})",
        f">= {SHARED_GOAL:,}",
        median_s=median_s,
        least_s=least_s,
    )
