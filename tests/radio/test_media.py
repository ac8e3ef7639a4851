"""A band that several UEs share: arrival times by hand, and conservation of the sent load."""

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fl_simu.kernel.errors import BadField
from fl_simu.kernel.parameters import structure_of
from fl_simu.radio.allocation import ALLOCATORS, Equal
from fl_simu.radio.allocation.base import Allocator
from fl_simu.radio.channels.base import Channel
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.radio.delays import RateAtStart
from fl_simu.radio.link import Link
from fl_simu.radio.media import SharedBand
from fl_simu.radio.sizes import RealBytes


@dataclass(frozen=True)
class Rates(Channel):
    """UE i has the i-th rate, independent of the other UEs."""

    mbps: tuple

    def pieces(self, seed, ue, round, start_s):
        yield self.mbps[ue], math.inf


# A Mbit in float32.
MEGABIT = structure_of({"w": torch.zeros(31_250)})


def play(link, begins, allocator=None, leaves=(), structure=MEGABIT, medium=None):
    """Arrivals of each UE's layers and the load that each has sent, if each starts at its time."""
    medium, allocator, now = medium or SharedBand(), allocator or Equal(), 0.0
    state, arrivals, uploads = medium.start(), {ue: [] for ue in begins}, {}
    coming = sorted([(at, ue, "begins") for ue, at in begins.items()] + [(at, ue, "leaves") for ue, at in leaves])
    while True:
        state, arrival = medium.plan(state, link, allocator, now)
        if coming and (arrival is None or coming[0][0] < arrival.time_s):
            now, ue, what = coming.pop(0)
            if what == "begins":
                uploads[ue] = link.pending(ue, 0, now, structure, 0, 0.0)
                state = medium.join(state, link, uploads[ue], now)
            else:
                arrivals[ue].append(("left", medium.sent_mbit(state, link, uploads[ue], now)))
                state = medium.leave(state, link, ue, now)
        elif arrival:
            now = arrival.time_s
            arrivals[arrival.ue].append(now)
            state = medium.arrived(state, link, arrival)
        else:
            return arrivals


def link_of(channel, codec=None):
    return Link(codec or Float32(), channel, RealBytes(), "update", 1)


def test_two_ues_share_a_band_as_by_hand():
    # Alone, a Mbit takes 1 s. UE 0 has sent half of it when UE 1 starts. Both then send at half the rate, and UE 0
    # needs another second, until 1.5 s. UE 1 has sent half by then, and the rest takes half a second alone.
    assert play(link_of(Rates((1.0, 1.0))), {0: 0.0, 1: 0.5}) == {0: [1.5], 1: [2.0]}
    # UE 1 is twice as fast: from 0.5 s on it sends at 1 Mbit/s with half of the band, and ends with UE 0.
    assert play(link_of(Rates((1.0, 2.0))), {0: 0.0, 1: 0.5}) == {0: [1.5], 1: [1.5]}


def test_who_is_given_up_leaves_the_band_to_the_others():
    # Three start at once: a third of the band each. UE 2 is given up after 0.6 s, when it has sent 0.2 Mbit.
    found = play(link_of(Rates((1.0, 1.0, 1.0))), {0: 0.0, 1: 0.0, 2: 0.0}, leaves=[(2, 0.6)])
    (left, sent) = found[2][0]
    assert (left, sent) == ("left", pytest.approx(0.2, abs=1e-12))
    # The two others have 0.8 Mbit left each, at half a Mbit/s.
    assert found[0] == found[1] == [pytest.approx(0.6 + 1.6, abs=1e-12)]


def test_layers_arrive_one_after_the_other():
    # Half of the 16 bits per parameter each, and a header; a single UE sends as on its own link.
    link = link_of(Rates((0.7, 0.7)), Affine(8, (8,)))
    alone = link.transmit(0, 0, 2.0, MEGABIT).arrivals_s
    assert play(link, {0: 2.0})[0] == list(alone)
    both = play(link, {0: 2.0, 1: 2.0})
    assert both[0] == both[1] == [pytest.approx(2.0 + 2 * (at - 2.0)) for at in alone]


@given(
    begins=st.lists(st.floats(0, 3), min_size=1, max_size=6),
    rates=st.lists(st.floats(0.1, 3), min_size=6, max_size=6),
)
def test_what_arrives_is_what_was_sent_and_sharing_serves_nobody_earlier(begins, rates):
    link = link_of(Rates(tuple(rates)))
    found = play(link, dict(enumerate(begins)))
    for ue, at in enumerate(begins):
        assert found[ue][0] >= link.transmit(ue, 0, at, MEGABIT).arrivals_s[-1] - 1e-9
    # If all rates are equal, the band works at full rate while any UE sends.
    same = play(link_of(Rates((rates[0],) * 6)), dict(enumerate(begins)))
    end = 0.0
    for at in sorted(begins):
        end = max(end, at) + 1 / rates[0]
    assert max(arrivals[0] for arrivals in same.values()) == pytest.approx(end)


@dataclass(frozen=True)
class Swinging(Channel):
    """1 and 3 Mbit/s in turn, a quarter of a second each; UE 1 begins with 3."""

    def pieces(self, seed, ue, round, start_s):
        number = math.floor(4 * start_s)
        while True:
            yield (3.0 if (number + ue) % 2 else 1.0), (number + 1) / 4
            number += 1


def test_a_rate_that_changes_while_sending_counts():
    # With half of the band UE 0 has sent 1/8, 1/2, 5/8, 1 Mbit after each quarter, UE 1 3/8, 1/2, 7/8, 1.
    assert play(link_of(Swinging()), {0: 0.0, 1: 0.0}) == {0: [pytest.approx(1.0)], 1: [pytest.approx(1.0)]}
    # Alone until 0.1 s, at 1 Mbit/s; then half of 1 until 0.25 s, and so on: 0.1 + 0.075 + 0.375 + 0.125 + 0.325.
    found = play(link_of(Swinging()), {0: 0.0, 1: 0.1})
    assert found[0] == [pytest.approx(0.75 + 0.325 / 1.5)]


def test_who_joined_first_arrives_first_among_equals():
    link = link_of(Rates((1.0,) * 3))
    medium, state = SharedBand(), SharedBand().start()
    for ue in (2, 0, 1):
        state = medium.join(state, link, link.pending(ue, 0, 0.0, MEGABIT, 0, 0.0), 0.0)
    order = []
    while True:
        state, arrival = medium.plan(state, link, Equal(), state.at_s)
        if arrival is None:
            break
        order.append(arrival.ue)
        state = medium.arrived(state, link, arrival)
    assert order == [2, 0, 1]


@dataclass(frozen=True)
class OneAfterTheOther(Allocator):
    """The whole band for the UE with the least left to send."""

    def shares(self, loads_mbit, rates_mbps):
        first = min(loads_mbit, key=lambda ue: (loads_mbit[ue], ue))
        return {ue: float(ue == first) for ue in loads_mbit}


def test_an_allocator_decides_the_shares():
    found = play(link_of(Rates((1.0, 1.0))), {0: 0.0, 1: 0.0}, OneAfterTheOther())
    assert found == {0: [1.0], 1: [2.0]}


@given(ues=st.lists(st.integers(0, 50), min_size=1, max_size=9, unique=True), load=st.floats(1e-6, 1e6))
@pytest.mark.parametrize("name", ALLOCATORS)
def test_shares_are_at_least_0_and_together_at_most_1(name, ues, load):
    shares = ALLOCATORS[name]().shares(dict.fromkeys(ues, load), dict.fromkeys(ues, 1.0))
    assert set(shares) == set(ues) and min(shares.values()) >= 0 and sum(shares.values()) <= 1 + 1e-9


def test_a_delay_that_is_no_integral_is_refused():
    link = Link(Float32(), Rates((1.0,)), RealBytes(), "update", 1, RateAtStart())
    with pytest.raises(BadField, match=r"medium\.name"):
        SharedBand().check(link)
