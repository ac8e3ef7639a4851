"""Every protocol takes part of all UEs alike: whose turn it is follows the draw, never the index."""

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
from fl_simu.kernel.messages import Aggregate, LayerArrived, Ready
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


class Moving(Backend):
    """A UE's model is the one that it was handed, moved by 1."""

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
    """Rates with which the one weight takes 0.2 s, always, or 0.1 to 3.1 s, drawn for each upload."""

    drawn: bool

    def pieces(self, seed, ue, round, start_s):
        yield 32e-6 / (0.1 + 3 * briefly(seed, "channel", ue, round).random() if self.drawn else 0.2), math.inf


class Accepted(Observer):
    def __init__(self):
        self.counts = Counter()

    def aggregated(self, record, coordinator):
        self.counts.update(one.ue for one in record.ues if one.accepted != "none" or one.reason == "not moved")


def participation(protocol, ues, drawn, rounds, rates):
    """How often each UE was handed the model, and how often something of it was aggregated."""
    backend, accepted, link = Moving(), Accepted(), Link(Float32(), rates, RealBytes(), "weights", 1)
    model, observers = {"w": torch.zeros(1)}, [accepted]
    changes = {"drawn": drawn, "rounds": rounds, "compute": ConstantCompute(0.0)}
    loop(backend, model, link, protocol, ues, observers, **changes).run()
    return backend.handed, accepted.counts


def chi_squared(counts, ues):
    """Of the hypothesis that all are equally frequent; a draw without replacement spreads less, never more."""
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


def test_a_buffered_bs_shares_the_work_alike_among_idle_ues():
    """5,000 aggregations of 100 UEs, 10 at work; without models, which neither protocol nor selection sees."""
    protocol, clock, delays_s = Buffered(4), Clock(), np.random.default_rng(1).exponential
    state, version, busy, handed = protocol.start(), 0, set(), Counter()
    clock.push(0.0, Ready(0.0, 0))
    while version < 5000:
        event = clock.pop()
        if isinstance(event, Ready):
            idle = [ue for ue in range(100) if ue not in busy]
            view = View(1, event.version, clock.now_s, dict.fromkeys(range(100), 1), idle)
            event = event._replace(ues=RandomDraw().choose((), view, 10 - len(busy))[1])
        state, actions = protocol.on(state, event)
        for action in actions:
            if isinstance(action, Aggregate):
                version += 1
                busy -= set(action.layers())
                clock.push(clock.now_s, Ready(clock.now_s, version))
                continue
            busy |= set(action.ues)
            for ue in action.ues:
                handed[ue // 10] += 1
                arrival_s = clock.now_s + delays_s()
                clock.push(arrival_s, LayerArrived(arrival_s, ue, version, 0, 1))
    assert all(0.09 < handed[tenth] / sum(handed.values()) < 0.11 for tenth in range(10)), handed
