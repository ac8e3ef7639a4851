"""How UEs that send share the band: by hand, against closed forms and scipy, and properties for any uploads."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from fl_simu.kernel.errors import BadField, UserError
from fl_simu.kernel.parameters import structure_of
from fl_simu.radio.allocation import ALLOCATORS, BaseFirst, Equal, MinMaxDelay, Proportional, Tdma
from fl_simu.radio.allocation.base import Sending
from fl_simu.radio.allocation.spectrum import Linear, Shannon
from fl_simu.radio.channels.constant import Constant
from fl_simu.radio.channels.fading import Fading
from fl_simu.radio.channels.uniform import Uniform
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.media import SharedBand
from fl_simu.radio.media.shannon_band import Narrowed, ShannonBand
from tests.radio.test_media import MEGABIT, Rates, Swinging, link_of, play

OURS = [*(part() for part in ALLOCATORS.values()), Tdma("joined")]
every = pytest.mark.parametrize("allocator", OURS, ids=str)
BEGINS = st.lists(st.floats(0, 3), min_size=1, max_size=6)
RATES = st.lists(st.floats(0.1, 3), min_size=6, max_size=6)
LOADS = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=9)


def numbered(values):
    return dict(enumerate(values))


def ends(found):
    """The arrival time of each UE's last layer, from the result of `play`."""
    return {ue: arrivals[-1] for ue, arrivals in found.items()}


@pytest.mark.parametrize(
    ("allocator", "shares"),
    [
        # 1, 4 and 3 Mbit at 1, 2 and 1 Mbit/s: 1, 2 and 3 s alone.
        (Equal(), [1 / 3, 1 / 3, 1 / 3]),
        (Proportional(), [1 / 8, 4 / 8, 3 / 8]),
        (MinMaxDelay(), [1 / 6, 2 / 6, 3 / 6]),
        (Tdma(), [1, 0, 0]),
        (BaseFirst(), [1 / 3, 1 / 3, 1 / 3]),
    ],
    ids=str,
)
def test_shares_by_hand(allocator, shares):
    assert allocator.shares(numbered([1, 4, 3]), numbered([1, 2, 1])) == pytest.approx(numbered(shares))


def test_uploads_end_as_by_hand():
    # A Mbit each, at 1 and 0.5 Mbit/s with the whole band: 1 and 2 s alone. UE 1 joins at 0.5 s, when UE 0 has
    # half a second left; both end by 3 s.
    link = link_of(Rates((1.0, 0.5)))
    ended = {
        Tdma(): {0: 1.0, 1: 3.0},
        Tdma("joined"): {0: 1.0, 1: 3.0},
        MinMaxDelay(): {0: 3.0, 1: 3.0},
        # 0.5 of 1.5 Mbit for UE 0, which takes 0.5 / (1 / 3) = 1.5 s.
        Proportional(): {0: 2.0, 1: 3.0},
        Equal(): {0: 1.5, 1: 3.0},
    }
    for allocator, wanted in ended.items():
        assert ends(play(link, {0: 0.0, 1: 0.5}, allocator)) == pytest.approx(wanted), allocator
    # The shorter upload, 1 s from 0.5 s on, interrupts the other one unless that one keeps its turn.
    link = link_of(Rates((0.5, 1.0)))
    assert ends(play(link, {0: 0.0, 1: 0.5}, Tdma())) == pytest.approx({0: 3.0, 1: 1.5})
    assert ends(play(link, {0: 0.0, 1: 0.5}, Tdma("joined"))) == pytest.approx({0: 2.0, 1: 3.0})


def test_the_bases_of_all_come_before_the_enhancements_of_any():
    # Layers of 8 and 8 bits a parameter, about half a Mbit each; `base` and `more` are their times alone.
    link = link_of(Rates((1.0, 1.0, 1.0)), Affine(8, (8,)))
    base, both = link.transmit(0, 0, 0.0, MEGABIT).arrivals_s
    more = both - base
    # UE 2 begins when UEs 0 and 1 have half of their enhancements left: they wait until its base is there.
    begin = 2 * base + more
    found = play(link, {0: 0.0, 1: 0.0, 2: begin}, BaseFirst())
    assert found[0] == pytest.approx([2 * base, begin + base + 1.5 * more])
    assert found[1] == pytest.approx(found[0])
    # Then the three share the band, and UE 2 has half of its enhancement left when the two others are done.
    assert found[2] == pytest.approx([begin + base, begin + base + 2 * more])


def test_who_is_in_outage_waits_for_those_who_are_not():
    loads = numbered([1.0, 1.0, 3.0])
    for rates, shares, first in (
        ([0, 1, 1], [0, 1 / 4, 3 / 4], 1),
        # All of them: as if their rates were equal, and in the order of joining.
        ([0, 0, 0], [1 / 5, 1 / 5, 3 / 5], 0),
    ):
        assert MinMaxDelay().shares(loads, numbered(rates)) == pytest.approx(numbered(shares))
        assert Tdma().shares(loads, numbered(rates))[first] == 1
    # The UE whose turn it is keeps its turn.
    assert Tdma("joined").shares(loads, numbered([0, 1, 1]))[0] == 1


@every
@given(loads=st.lists(st.one_of(st.just(0.0), st.floats(1e-9, 1e6)), min_size=1, max_size=9), data=st.data())
def test_shares_are_at_least_0_and_together_the_band(allocator, loads, data):
    senders = {
        ue: Sending(
            (load, 0.5 * load), data.draw(st.integers(0, 2)), data.draw(st.sampled_from([0.0, 0.01, 900.0]))
        )
        for ue, load in enumerate(loads)
    }
    shares = allocator.divide(senders)
    assert list(shares) == list(senders) and min(shares.values()) >= 0
    assert sum(shares.values()) == pytest.approx(1, rel=1e-12)


@given(loads=LOADS, data=st.data())
def test_min_max_delay_lets_all_finish_together_and_never_later_than_equal(loads, data):
    rates = data.draw(st.lists(st.floats(1e-3, 1e3), min_size=len(loads), max_size=len(loads)))
    shares = MinMaxDelay().shares(numbered(loads), numbered(rates))
    alone_s = [load / rate for load, rate in zip(loads, rates)]
    # Their sum is the closed form of the least T for which shares that sum to 1 are enough.
    assert [time / shares[ue] for ue, time in enumerate(alone_s)] == pytest.approx([sum(alone_s)] * len(loads))
    assert sum(alone_s) <= len(loads) * max(alone_s) * (1 + 1e-12)


# The rate with a share of the band, written out again.
RATE_OF = {
    Linear(): lambda whole, share: share * whole,
    Shannon(0.5): lambda whole, share: 0.5 * share * np.log2(1 + (2 ** (whole / 0.5) - 1) / share),
}


@pytest.mark.parametrize("spectrum", RATE_OF, ids=str)
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
def test_min_max_delay_is_what_scipy_finds(number, spectrum):
    draws, rate_of = np.random.RandomState(number), RATE_OF[spectrum]
    loads, rates = draws.uniform(0.2, 5, number), draws.uniform(0.5, 3, number)
    senders = {ue: Sending((load,), 0, rate) for ue, (load, rate) in enumerate(zip(loads, rates))}
    shares = MinMaxDelay().divide(senders, spectrum)
    last_s = max(loads[ue] / rate_of(rates[ue], share) for ue, share in shares.items())
    # Over the shares and, last, the time T: the least T in which each can send its load.
    start = [1 / number] * number + [2 * number * max(loads / rates)]
    found = minimize(
        lambda x: x[-1],
        start,
        method="SLSQP",
        bounds=[(1e-6, 1)] * number + [(1e-6, None)],
        constraints=[
            {"type": "ineq", "fun": lambda x: rate_of(rates, x[:-1]) - loads / x[-1]},
            {"type": "ineq", "fun": lambda x: 1 - x[:-1].sum()},
        ],
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert found.success and last_s == pytest.approx(found.x[-1], rel=1e-6)
    assert list(shares.values()) == pytest.approx(found.x[:-1], rel=1e-4)


@every
@given(begins=BEGINS, rates=RATES)
def test_the_band_is_in_use_while_anybody_sends(allocator, begins, rates):
    # Any division of the whole band serves one second of airtime per second. So the last upload ends when a queue
    # of the times alone would be empty.
    found = ends(play(link_of(Rates(tuple(rates))), numbered(begins), allocator))
    end = 0.0
    for at, ue in sorted((at, ue) for ue, at in enumerate(begins)):
        end = max(end, at) + 1 / rates[ue]
    assert max(found.values()) == pytest.approx(end)
    assert all(found[ue] >= at + 1 / rates[ue] - 1e-9 for ue, at in enumerate(begins))


@pytest.mark.parametrize("allocator", [Equal(), MinMaxDelay(), Tdma("joined"), BaseFirst()], ids=str)
@given(begins=BEGINS, rates=RATES, factor=st.floats(1, 4))
def test_in_a_wider_band_no_upload_ends_later(allocator, begins, rates, factor):
    narrow, wide = (
        ends(play(link_of(Rates(tuple(one * by for one in rates)), Affine(8, (8,))), numbered(begins), allocator))
        for by in (1, factor)
    )
    assert all(wide[ue] <= end + 1e-9 for ue, end in narrow.items())


def test_shortest_first_may_end_one_upload_later_in_a_wider_band():
    # At 0.5 s UE 0 has 1.5 s left of 2, and UE 1 needs 1.4 s and goes first. In a band 1.5 times as wide UE 0
    # needs 5 / 6 s more and UE 1 14 / 15 s, so UE 1 waits.
    narrow = ends(play(link_of(Rates((0.5, 1 / 1.4))), {0: 0.0, 1: 0.5}, Tdma()))
    wide = ends(play(link_of(Rates((0.75, 1.5 / 1.4))), {0: 0.0, 1: 0.5}, Tdma()))
    assert narrow == pytest.approx({0: 3.4, 1: 1.9})
    assert wide == pytest.approx({0: 4 / 3, 1: 4 / 3 + 14 / 15})


@every
@given(begins=st.lists(st.floats(0, 1), min_size=1, max_size=4))
def test_what_arrives_is_the_integral_of_what_was_allotted(allocator, begins):
    link, medium, now, carried = link_of(Swinging()), SharedBand(), 0.0, dict.fromkeys(range(len(begins)), 0.0)

    def integral(ue, since, until):
        edges = sorted({since, until, *(q / 4 for q in range(40) if since < q / 4 < until)})
        return sum(
            (b - a) * (3.0 if (math.floor(2 * (a + b)) + ue) % 2 else 1.0) for a, b in zip(edges, edges[1:])
        )

    state, coming, done = medium.start(), sorted((at, ue) for ue, at in enumerate(begins)), 0
    while done < len(begins):
        state, arrival = medium.plan(state, link, allocator, now)
        joins = coming and (arrival is None or coming[0][0] < arrival.time_s)
        until = coming[0][0] if joins else arrival.time_s
        for ue, one in state.senders.items():
            carried[ue] += one.share * integral(ue, now, until)
        now = until
        if joins:
            ue = coming.pop(0)[1]
            state = medium.join(state, link, link.pending(ue, 0, now, MEGABIT, 0, 0.0), now)
        else:
            state, done = medium.arrived(state, link, arrival), done + 1
            assert carried[arrival.ue] == pytest.approx(1.0, rel=1e-8)


@every
@pytest.mark.parametrize("channel", [Constant(0.7), Uniform(0.1, 2.0), Swinging(), Fading(tick_s=0.01)], ids=str)
def test_who_is_alone_has_the_link_that_it_would_have_alone(allocator, channel):
    link = link_of(channel)
    for ue, start_s in ((0, 0.0), (3, 0.3), (1, 1234.56)):
        assert play(link, {ue: start_s}, allocator)[ue] == list(link.transmit(ue, 0, start_s, MEGABIT).arrivals_s)


@given(rates=st.tuples(st.floats(0.1, 3), st.floats(0.1, 3)))
def test_what_rounding_leaves_of_an_upload_waits_for_nobody(rates):
    # Both end together. When one has ended, a third starts at once. Only a rounding residue is left of the other;
    # if it got a tiny share for that, it would end with the third.
    link, medium, allocator = link_of(Rates((*rates, 1.0))), SharedBand(), MinMaxDelay()
    state = medium.start()
    for ue in (0, 1):
        state = medium.join(state, link, link.pending(ue, 0, 0.0, MEGABIT, 0, 0.0), 0.0)
    state, first = medium.plan(state, link, allocator, 0.0)
    state = medium.arrived(state, link, first)
    state = medium.join(state, link, link.pending(2, 0, first.time_s, MEGABIT, 0, 0.0), first.time_s)
    _, second = medium.plan(state, link, allocator, first.time_s)
    assert second == (first.time_s, 1 - first.ue)


def test_a_layer_with_nothing_in_it_arrives_at_once():
    empty = structure_of({"w": torch.zeros(0)})
    for allocator in OURS:
        link, medium, state = link_of(Rates((1.0, 1.0))), SharedBand(), SharedBand().start()
        state = medium.join(state, link, link.pending(0, 0, 0.0, MEGABIT, 0, 0.0), 0.0)
        state = medium.join(state, link, link.pending(1, 0, 0.0, empty, 0, 0.0), 0.0)
        assert medium.plan(state, link, allocator, 0.0)[1] == (0.0, 1)


def test_an_order_that_is_none_is_refused():
    with pytest.raises(BadField, match="order = 'longest' is not allowed: one of shortest, joined"):
        Tdma("longest")


def test_the_least_band_for_a_time_is_what_a_paper_has():
    # A Mbit in a second with 0.2 W, a gain of 1e-10 and -174 dBm/Hz: 61,261.57 Hz, whatever the whole band is.
    for mhz in (0.1, 1.0, 20.0):
        snr = 0.2 * 1e-10 / (10 ** (-174 / 10) / 1e3 * mhz * 1e6)
        share = Shannon(mhz).least_shares(np.array([mhz * math.log2(1 + snr)]), np.array([1.0]))[0]
        assert share * mhz * 1e6 == pytest.approx(61_261.57, abs=0.01)


@given(loads=LOADS, data=st.data())
def test_in_a_shannon_band_all_finish_together(loads, data):
    # From far below the noise, where a share hardly matters, to 90 bit/s/Hz.
    rates = data.draw(st.lists(st.floats(1e-12, 90), min_size=len(loads), max_size=len(loads)))
    band = Shannon(1.0)
    shares = band.together(numbered(loads), numbered(rates))
    assert min(shares.values()) > 0 and sum(shares.values()) <= 1 + 1e-9
    ended = [load / band.rate_mbps(rate, shares[ue]) for ue, (load, rate) in enumerate(zip(loads, rates))]
    assert ended == pytest.approx([ended[0]] * len(loads), rel=1e-9)
    alone = [load / rate for load, rate in zip(loads, rates)]
    assert max(alone) * (1 - 1e-9) <= ended[0] <= sum(alone) * (1 + 1e-9)


def test_uploads_in_a_shannon_band_end_as_by_hand():
    # Of 1 MHz, with an SNR of 1.5: log2(2.5) Mbit/s with all of it, and log2(1 + 3) / 2 = 1 Mbit/s with half.
    whole = math.log2(2.5)
    link, medium = link_of(Rates((whole, whole))), ShannonBand(bandwidth_mhz=1.0)
    assert ends(play(link, {0: 0.0, 1: 0.0}, medium=medium)) == pytest.approx({0: 1.0, 1: 1.0}, rel=1e-12)
    # UE 0 is alone for half a second, then both have half of the band, and the last one has all of it.
    left = 1 - 0.5 * whole
    found = ends(play(link, {0: 0.0, 1: 0.5}, medium=medium))
    assert found == pytest.approx({0: 0.5 + left, 1: 0.5 + left + (1 - left) / whole}, rel=1e-12)


@given(ue=st.integers(0, 99), shares=st.integers(1, 64))
def test_a_narrow_share_of_a_cell_has_the_rates_that_the_cell_gives_it(ue, shares):
    # The channel `fading` counts the noise of a share itself.
    def rates(channel):
        found = channel.pieces(1, ue, 0, 0.0)
        return [next(found)[0] for _ in range(20)]

    whole, part = (Fading(shares=number, min_snr_db=-math.inf) for number in (1, shares))
    assert rates(Narrowed(whole, Shannon(20.0), 1 / shares)) == pytest.approx(rates(part), rel=1e-9)


@given(rates=st.lists(st.floats(0.01, 8), min_size=1, max_size=5))
def test_in_a_shannon_band_none_has_its_last_upload_end_before_min_max_delay(rates):
    link, medium = link_of(Rates(tuple(rates))), ShannonBand(bandwidth_mhz=1.0)
    begins = dict.fromkeys(range(len(rates)), 0.0)
    together, *others = (
        ends(play(link, begins, allocator, medium=medium)) for allocator in (MinMaxDelay(), *OURS)
    )
    last = max(together.values())
    assert list(together.values()) == pytest.approx([last] * len(rates), rel=1e-9)
    assert all(last <= max(other.values()) * (1 + 1e-9) for other in others)


@every
def test_who_is_alone_in_a_shannon_band_has_the_link_that_it_would_have_alone(allocator):
    link = link_of(Fading(tick_s=0.01, shares=1))
    found = play(link, {3: 0.3}, allocator, medium=ShannonBand())
    assert found == {3: list(link.transmit(3, 0, 0.3, MEGABIT).arrivals_s)}


def test_a_band_that_is_not_the_channels_is_refused():
    with pytest.raises(BadField, match=r"bandwidth_mhz = 0\.0 is not allowed: 1e-06 to 1e"):
        ShannonBand(bandwidth_mhz=0.0)
    with pytest.raises(UserError, match="a rate of 150 Mbit/s in a band of 1 MHz is above 100 bit/s/Hz"):
        play(link_of(Rates((150.0,) * 2)), {0: 0.0, 1: 0.0}, medium=ShannonBand(bandwidth_mhz=1.0))
