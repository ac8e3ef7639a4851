"""A band that is divided when a cohort gets the model: by hand, and never more than one band in total."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_simu.kernel.errors import BadField
from fl_simu.radio.allocation import ALLOCATORS, Equal, MinMaxDelay, Tdma
from fl_simu.radio.channels.fading import Fading
from fl_simu.radio.media import PlannedBand, PlannedShannonBand
from fl_simu.station.protocols import Deadline, WaitForAll
from tests.loop.test_coordinator import coordinator, seen
from tests.radio.test_media import MEGABIT, Rates, link_of


def uploads_of(link, begins):
    return {ue: link.pending(ue, 0, at, MEGABIT, 0, 0.0) for ue, at in begins.items()}


def play_planned(link, cohorts, allocator=None, medium=None, leaves=()):
    """The end of each UE's upload; cohorts are (time of the broadcast, UE -> start of its upload)."""
    medium, allocator, now, ended = medium or PlannedBand(), allocator or Equal(), 0.0, {}
    state, uploads, left = medium.start(), {}, set()
    coming = [(at, 0, begins) for at, begins in cohorts] + [(at, 2, ue) for ue, at in leaves]
    coming += [(at, 1, ue) for _, begins in cohorts for ue, at in begins.items()]
    coming.sort(key=lambda one: one[:2])
    while True:
        state, arrival = medium.plan(state, link, allocator, now)
        assert sum(one.share for one in state.booked.values()) <= 1 + 1e-9
        assert all(one.share >= 0 for one in state.booked.values())
        if coming and (arrival is None or coming[0][0] < arrival.time_s):
            now, kind, what = coming.pop(0)
            if kind == 0:
                uploads.update(uploads_of(link, what))
                state = medium.handed(state, link, allocator, uploads_of(link, what), now)
            elif kind == 1 and what not in left:
                state = medium.join(state, link, uploads[what], now)
            elif kind == 2:
                left.add(what)
                state = medium.leave(state, link, what, now)
        elif arrival and arrival.time_s < math.inf:
            now = ended[arrival.ue] = arrival.time_s
            state = medium.arrived(state, link, arrival)
        else:
            return ended


def test_what_one_has_done_with_nobody_else_uses():
    # Half of the band each, also while UE 1 is alone: 2 s at half a Mbit/s, 4 s at a quarter. `shared_band` ends
    # at 3 s.
    assert play_planned(link_of(Rates((1.0, 0.5))), [(0.0, {0: 0.0, 1: 0.0})]) == {0: 2.0, 1: 4.0}
    # Also before UE 1 starts.
    assert play_planned(link_of(Rates((1.0, 0.5))), [(0.0, {0: 0.0, 1: 7.0})]) == {0: 2.0, 1: 11.0}


def test_shares_follow_the_loads_and_rates_of_the_moment_at_which_the_model_is_handed():
    found = play_planned(link_of(Rates((1.0, 0.5))), [(0.0, {0: 1.0, 1: 1.0})], MinMaxDelay())
    assert found == pytest.approx({0: 4.0, 1: 4.0})


def test_a_cohort_that_overlaps_another_divides_what_is_free():
    # UE 0 has ended at 2 s and UE 1 keeps its half until 4 s: UEs 2 and 3 have a quarter each.
    link = link_of(Rates((1.0, 0.5, 1.0, 1.0)))
    found = play_planned(link, [(0.0, {0: 0.0, 1: 0.0}), (2.5, {2: 3.0, 3: 3.5})])
    assert found == pytest.approx({0: 2.0, 1: 4.0, 2: 7.0, 3: 7.5})


def test_who_is_handed_the_model_while_nothing_is_free_waits_for_the_first_to_end():
    link = link_of(Rates((1.0, 1.0, 1.0)))
    assert play_planned(link, [(0.0, {0: 0.0}), (0.25, {1: 0.5, 2: 0.75})]) == {0: 1.0, 1: 3.0, 2: 3.0}
    # Or leaves before it has started.
    found = play_planned(link, [(0.0, {0: 5.0}), (0.25, {1: 0.5})], leaves=[(0, 2.0)])
    assert found == {1: 3.0}
    # One after the other as planned, the first of the cohort first.
    assert play_planned(link, [(0.0, {0: 0.5, 1: 0.25})], Tdma("joined")) == {0: 1.5, 1: 2.5}


@given(
    cohorts=st.lists(
        st.tuples(st.floats(0, 3), st.lists(st.floats(0, 3), min_size=1, max_size=3)), min_size=1, max_size=3
    ),
    rates=st.lists(st.floats(0.1, 3), min_size=9, max_size=9),
    allocator=st.sampled_from([part() for part in ALLOCATORS.values()]),
    gone=st.lists(st.tuples(st.integers(0, 8), st.floats(0, 9)), max_size=3),
)
def test_all_cohorts_have_together_one_band_and_all_who_stay_arrive(cohorts, rates, allocator, gone):
    numbers = iter(range(9))
    begun = [(at, {next(numbers): at + later for later in waits}) for at, waits in cohorts]
    begins = {ue: at for _, cohort in begun for ue, at in cohort.items()}
    leaves = [(ue, max(at, begins[ue])) for ue, at in gone if ue in begins]
    found = play_planned(link_of(Rates(tuple(rates))), begun, allocator, leaves=leaves)
    assert set(found) >= set(begins) - {ue for ue, _ in leaves}
    assert all(found[ue] >= begins[ue] + 1 / rates[ue] - 1e-9 for ue in found)


@pytest.mark.parametrize("allocator", [part() for part in ALLOCATORS.values() if part is not Tdma], ids=str)
@given(rates=st.lists(st.floats(0.02, 3), min_size=1, max_size=6), factor=st.floats(1, 4))
def test_with_planned_shares_no_upload_ends_later_in_a_wider_band(allocator, rates, factor):
    begins = {ue: 0.3 * ue for ue in range(len(rates))}
    narrow, wide = (
        play_planned(link_of(Rates(tuple(one * by for one in rates))), [(0.0, begins)], allocator)
        for by in (1, factor)
    )
    assert all(wide[ue] <= end * (1 + 1e-9) for ue, end in narrow.items())


@pytest.mark.parametrize("medium", [PlannedBand(), PlannedShannonBand()], ids=str)
@pytest.mark.parametrize("allocator", [part() for part in ALLOCATORS.values()], ids=str)
def test_who_is_alone_has_planned_the_link_that_it_would_have_alone(allocator, medium):
    link = link_of(Fading(tick_s=0.01, shares=1))
    alone = link.transmit(3, 0, 0.3, MEGABIT).arrivals_s[0]
    assert play_planned(link, [(0.1, {3: 0.3})], allocator, medium) == {3: alone}


def test_in_a_shannon_band_a_planned_share_has_less_noise():
    # An SNR of 1.5 with all of 1 MHz, of 3 with half of it: 1 Mbit/s, also when the other has ended.
    whole = math.log2(2.5)
    link, medium = link_of(Rates((whole,) * 3)), PlannedShannonBand(bandwidth_mhz=1.0)
    found = play_planned(link, [(0.0, {0: 0.0, 1: 0.5})], medium=medium)
    assert found == pytest.approx({0: 1.0, 1: 1.5}, rel=1e-12)
    # The free part is a narrower band: its halves have an SNR of 6 each.
    found = play_planned(link, [(0.0, {0: 0.0, 1: 9.0}), (1.0, {0: 1.0, 2: 1.0})], MinMaxDelay(), medium)
    assert found[0] == found[2] == pytest.approx(1 + 4 / math.log2(7), rel=1e-9)
    with pytest.raises(BadField, match=r"bandwidth_mhz = 0\.0 is not allowed"):
        PlannedShannonBand(0.0)


def test_a_run_gives_each_cohort_the_band_anew():
    # After 1 s of training each has half of the band until the deadline: UE 0 ends after 2 s, UE 1 is cut off.
    running = coordinator(Deadline(4.0), (1.0, 0.5), rounds=3, medium=PlannedBand())
    running.run()
    for record in seen(running).records:
        assert [one.delays_s for one in record.ues] == [(pytest.approx(2.0),), (math.inf,)]
        assert [one.bits for one in record.ues] == [1_000_000, 750_000]
    assert running.state.medium.booked == {}
    straight = coordinator(WaitForAll(), (1.0, 0.5), rounds=2, medium=PlannedBand())
    straight.run()
    assert [record.time_s for record in seen(straight).records] == pytest.approx([5.0, 10.0])
