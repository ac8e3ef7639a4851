"""Every protocol treats all UEs equally: the draw, never the index, decides which UE is next."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import ours
import pytest
import torch
from loops import Local, loop

from fl_simu.backends.base import Backend
from fl_simu.kernel.clock import Clock
from fl_simu.kernel.messages import (
    TIMER,
    Broadcast,
    LayerArrived,
    Ready,
    UploadSkipped,
    UploadStarted,
    WakeAt,
    Woke,
)
from fl_simu.kernel.randomness import briefly
from fl_simu.loop.coordinator import Observer
from fl_simu.radio.channels.base import Channel
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.link import Link
from fl_simu.radio.sizes import RealBytes
from fl_simu.station.protocols import Buffered, FirstK
from fl_simu.station.selection import RandomDraw
from fl_simu.station.selection.base import View
from fl_simu.ue.compute import ConstantCompute
from fl_simu.ue.training import Trained

# The 0.9999 quantile of chi-squared with 19 degrees of freedom: scipy.stats.chi2.ppf(0.9999, 19).
UES, CHI_SQUARED = 20, 50.795
# The same for the degrees of freedom that occur below.
CHI_SQUARED_BY_DEGREES = {19: 50.795, 12: 39.134, 13: 40.871}


class Moving(Backend):
    """A UE's model is the model that it was handed, plus 1."""

    def __init__(self):
        super().__init__(Local())
        self.held, self.handed = {}, Counter()

    def place(self, ue, shard):
        pass

    def train(self, tasks):
        self.handed.update(task.key.ue for task in tasks)
        self.held.update((task.key.ue, {"w": task.start["w"] + 1}) for task in tasks)

    def get(self, ue):
        return Trained(self.held.pop(ue), {})

    def peek(self, ue):
        return self.held[ue]

    def give_up(self, ue):
        del self.held[ue]

    def close(self):
        pass


@dataclass(frozen=True)
class Rates(Channel):
    """Rates at which the one weight always takes 0.2 s, or 0.1 to 3.1 s, drawn for each upload."""

    drawn: bool

    def pieces(self, seed, ue, round, start_s):
        yield 32e-6 / (0.1 + 3 * briefly(seed, "channel", ue, round).random() if self.drawn else 0.2), math.inf


class Accepted(Observer):
    def __init__(self):
        self.counts = Counter()

    def aggregated(self, record, coordinator):
        self.counts.update(one.ue for one in record.ues if one.accepted != "none" or one.reason == "not moved")


def participation(protocol, ues, drawn, rounds, rates):
    """How often each UE was handed the model, and how often one of its uploads was aggregated."""
    backend, accepted, link = Moving(), Accepted(), Link(Float32(), rates, RealBytes(), "weights", 1)
    model, observers = {"w": torch.zeros(1)}, [accepted]
    changes = {"drawn": drawn, "rounds": rounds, "compute": ConstantCompute(0.0)}
    loop(backend, model, link, protocol, ues, observers, **changes).run()
    return backend.handed, accepted.counts


def chi_squared(counts, ues):
    """For the hypothesis of equal frequencies; a draw without replacement spreads less, never more."""
    expected = sum(counts.values()) / ues
    return sum((counts[ue] - expected) ** 2 for ue in range(ues)) / expected


@pytest.mark.parametrize("rates", [Rates(drawn=True), Rates(drawn=False)], ids=["drawn rates", "equal rates"])
@pytest.mark.parametrize("protocol", ours.cases("protocol"))
def test_every_ue_takes_part_equally_often(protocol, rates):
    handed, accepted = participation(protocol, UES, 5, 300, rates)
    assert sum(handed.values()) >= 300
    assert chi_squared(handed, UES) < CHI_SQUARED
    assert chi_squared(accepted, UES) < CHI_SQUARED


@pytest.mark.parametrize("protocol", [FirstK(5), Buffered(5)], ids=str)
def test_of_uploads_that_arrive_at_once_none_is_preferred(protocol):
    _, accepted = participation(protocol, UES, UES, 200, Rates(drawn=False))
    assert sum(accepted.values()) == 1000
    assert chi_squared(accepted, UES) < CHI_SQUARED


def draws(protocol, speeds, drawn, count, begun=0):
    """For each new model the idle UEs and the UEs drawn from them, until this many are drawn. There are no models,
    since neither protocol nor selection sees them. UE u trains and sends for a random time, mean 1 / speeds[u]."""
    state, clock, busy = protocol.start(), Clock(), {}
    times, version = np.random.default_rng(1), 0
    clock.push(0.0, Ready(0.0, 0))
    while begun < count:
        event = clock.pop()
        if isinstance(event, Ready):
            idle = [ue for ue in range(len(speeds)) if ue not in busy]
            view = View(1, event.version, clock.now_s, dict.fromkeys(range(len(speeds)), 1), idle)
            event = event._replace(ues=RandomDraw().choose((), view, max(drawn - len(busy), 0))[1])
            begun += len(event.ues)
            yield idle, event.ues
        elif not isinstance(event, Woke) and busy.get(event.ue) != event.version:
            continue
        state, actions = protocol.on(state, event)
        for action in actions:
            if isinstance(action, Broadcast):
                for ue in action.ues:
                    busy[ue] = version
                    trained_s = clock.now_s + times.exponential(0.5 / speeds[ue])
                    if protocol.movement_threshold() is not None and times.random() < 0.3:
                        clock.push(trained_s, UploadSkipped(trained_s, ue, version))
                        continue
                    arrival_s = trained_s + times.exponential(0.5 / speeds[ue])
                    clock.push(trained_s, UploadStarted(trained_s, ue, version))
                    clock.push(arrival_s, LayerArrived(arrival_s, ue, version, 0, 1))
            elif isinstance(action, WakeAt):
                clock.push(action.time_s, Woke(action.time_s, action.ue, action.version), TIMER)
            else:
                version += 1
                for ue in action.layers():
                    del busy[ue]
                clock.push(clock.now_s, Ready(clock.now_s, version))


# The slowest takes ten times as long as the fastest; ascending, so that the rank among idle UEs is by speed.
SPEEDS = np.geomspace(1.0, 10.0, UES)


@pytest.mark.parametrize("protocol", ours.cases("protocol"))
def test_whatever_their_speeds_each_draw_is_uniform_among_the_idle_ues(protocol):
    """10,000 draws of k of n idle UEs: each of the n ranks by speed is drawn equally often.

    In rounds all UEs are idle, so each UE is drawn equally often. Under an asynchronous protocol n and k are
    constant once all places are taken.
    """
    found = [(idle, ues) for idle, ues in draws(protocol, SPEEDS, 8, 10_000) if ues]
    n, k = len(found[-1][0]), len(found[-1][1])
    places = np.zeros(n)
    for idle, ues in found[1:]:
        assert (len(idle), len(ues)) == (n, k)
        places[[idle.index(ue) for ue in ues]] += 1
    total = places.sum()
    assert total > 9_900
    # Pearson's statistic; draws without replacement spread less than with it, by the factor (n - k) / (n - 1).
    statistic = ((places - total / n) ** 2).sum() / (total / n) * (n - 1) / (n - k)
    assert statistic < CHI_SQUARED_BY_DEGREES[n - 1]
    assert isinstance(protocol, Buffered) or (n, k) == (UES, 8)


@pytest.mark.parametrize("k", [1, 4])
def test_a_buffered_bs_draws_each_ue_as_often_as_it_is_idle_and_there_are_places(k):
    """A UE that is idle with n - 1 others when there are k places has the chance k / n, whatever happened before.

    So the sum of (drawn - chance) is a martingale. Fast UEs are idle more often, and take part more often.
    """
    drawn, chance, variance = np.zeros(UES), np.zeros(UES), np.zeros(UES)
    for idle, ues in draws(Buffered(k), SPEEDS, 8, 10_000):
        share = len(ues) / len(idle)
        drawn[list(ues)] += 1
        chance[idle] += share
        variance[idle] += share * (1 - share)
    # One of 20 normal numbers exceeds 4.75 in one of 25,000 cases.
    assert (np.abs(drawn - chance) < 4.75 * np.sqrt(variance)).all()
    assert drawn[-1] > 1.2 * drawn[0]


def test_a_buffered_bs_shares_the_work_alike_among_ues_of_one_speed():
    """5,000 aggregations of 4 of 100 UEs, 10 at work."""
    handed = Counter(ue // 10 for _, ues in draws(Buffered(4), np.ones(100), 10, 20_000) for ue in ues)
    assert all(0.09 < handed[tenth] / sum(handed.values()) < 0.11 for tenth in range(10)), handed
