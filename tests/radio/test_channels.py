import math
import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_simu.kernel.errors import UserError
from fl_simu.kernel.randomness import stream
from fl_simu.radio.channels import gauss_markov, ticked
from fl_simu.radio.channels.base import arrivals_over, carried_over
from fl_simu.radio.channels.cell import Cell
from fl_simu.radio.channels.constant import Constant
from fl_simu.radio.channels.fading import Fading, site
from fl_simu.radio.channels.gauss_markov import GaussMarkov
from fl_simu.radio.channels.markov import Markov
from fl_simu.radio.channels.normal import Normal
from fl_simu.radio.channels.path_loss import LogDistance, UrbanMacro, UrbanMicro
from fl_simu.radio.channels.random_walk import NotesWalk, RandomWalk
from fl_simu.radio.channels.ticked import BLOCK, course
from fl_simu.radio.channels.trace import Trace
from fl_simu.radio.delays import RateAtStart

PIECES = st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 5)), min_size=1, max_size=6)


def rates_in_time(pieces, start_s):
    """Pieces of given rates and lengths from `start_s` on; the last rate, made positive, continues for ever."""
    now = start_s
    for rate_mbps, length_s in pieces:
        now += length_s
        yield rate_mbps, now
    yield pieces[-1][0] + 1.0, math.inf


@given(PIECES, st.floats(0, 10), st.lists(st.floats(0, 50), min_size=1, max_size=4))
def test_what_was_carried_by_the_arrival_is_what_was_sent(pieces, start_s, loads):
    arrivals = arrivals_over(rates_in_time(pieces, start_s), start_s, loads)
    assert list(arrivals) == sorted(arrivals)
    for arrival, sent in zip(arrivals, np.cumsum(loads)):
        carried = carried_over(rates_in_time(pieces, start_s), start_s, arrival)
        assert carried == pytest.approx(sent, rel=1e-9, abs=1e-6)


def test_a_rate_that_changes_while_sending_counts():
    pieces = [(10.0, 1.0), (0.0, 3.0), (2.0, math.inf)]
    # 10 Mbit in the first second, nothing until 3 s, then 2 Mbit/s.
    assert arrivals_over(iter(pieces), 0.0, [10.0, 4.0]) == (1.0, 5.0)


def test_a_dead_link_never_delivers():
    assert arrivals_over(iter([(5.0, 1.0), (0.0, math.inf)]), 0.0, [5.0, 0.001]) == (1.0, math.inf)


def test_constant_delay_is_load_over_rate():
    assert Constant(50.0).arrivals_s(1, 0, 0, 2.0, [70.0]) == (2.0 + 1.4,)


def test_normal_rates_pass_the_notes_thresholds_as_the_normal_law_says():
    rates = [next(Normal().pieces(1, ue, round, 0.0))[0] for ue in range(100) for round in range(200)]
    for threshold_s in (1.9444, 1.4, 1.1864):
        measured = np.mean([70.0 / rate <= threshold_s for rate in rates])
        # P(|N| >= x) for N(50, 16.67): the probability above x and below -x.
        x = 70.0 / threshold_s
        wanted = sum(0.5 * math.erfc((x - sign * 50.0) / 16.67 / math.sqrt(2)) for sign in (1, -1))
        assert measured == pytest.approx(wanted, abs=4 * math.sqrt(0.25 / len(rates)))


def rates_of(channel, ticks, ues=1):
    """Rates of the first ticks, shape (ues, ticks)."""
    rows = [[course(channel, 1, ue, block) for block in range(math.ceil(ticks / BLOCK))] for ue in range(ues)]
    return np.stack([np.concatenate(row)[:ticks] for row in rows])


def test_random_walk_steps_as_the_notes_say_and_keeps_its_bounds():
    rates = rates_of(RandomWalk(low_mbps=0.0, high_mbps=100.0), 5000)
    assert rates.min() >= 0 and rates.max() <= 100
    steps = np.diff(rates[0])
    assert np.abs(steps).max() <= 10
    # A walk between two reflecting walls is uniform in the long run.
    assert rates_of(RandomWalk(low_mbps=0.0, high_mbps=100.0), 4000, ues=60).mean() == pytest.approx(50, abs=2.5)


def test_a_drift_keeps_its_direction_at_a_bound():
    """By hand: 10 Mbit/s more at each tick, reflected at 100, which leaves it between 90 and 100."""
    walk = RandomWalk(initial_mean_mbps=75, initial_std_mbps=0, step_low_mbps=10, step_high_mbps=10)
    assert course(walk, 1, 0, 0)[:7].tolist() == [75, 85, 95, 95, 95, 95, 95]
    walk = RandomWalk(initial_mean_mbps=72, initial_std_mbps=0, step_low_mbps=10, step_high_mbps=10)
    assert course(walk, 1, 0, 0)[:7].tolist() == [72, 82, 92, 98, 92, 98, 92]


def test_of_more_recordings_than_ues_none_is_preferred_for_its_name(tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.txt").write_text(f"0 {number + 1}\n1 {number + 1}\n")
    channel = Trace(str(tmp_path))
    first = [channel.course(seed, 0)[0].rates_mbps[0] - 1 for seed in range(500)]
    # The 0.9999 quantile of chi-squared with 4 degrees of freedom, scipy.stats.chi2.ppf(0.9999, 4).
    assert sum((first.count(number) - 100) ** 2 / 100 for number in range(5)) < 23.513
    assert sorted(channel.course(7, ue)[0].rates_mbps[0] for ue in range(5)) == [1, 2, 3, 4, 5]


def test_the_notes_walk_is_free_and_a_negative_rate_passes_at_once():
    channel = NotesWalk()
    rates = rates_of(channel, 2000)[0]
    steps = np.diff(rates)
    assert np.abs(steps).max() <= 10
    # Uniform steps in +-10 have the variance 400 / 12.
    assert steps.var() == pytest.approx(400 / 12, rel=0.1)
    below = next(
        (ue, tick)
        for ue in range(50)
        for tick in range(300)
        if course(channel, 1, ue, tick // BLOCK)[tick % BLOCK] < 0
    )
    assert RateAtStart().arrivals_s(channel, 1, below[0], 0, float(below[1]), [70.0]) == (float(below[1]),)
    rate = course(channel, 1, 0, 0)[3]
    arrivals = RateAtStart().arrivals_s(channel, 1, 0, 0, 3.5, [10.0, 20.0])
    assert arrivals == pytest.approx((3.5 + 10 / rate, 3.5 + 30 / rate))


def test_gauss_markov_has_its_mean_its_deviation_and_its_memory():
    rates = rates_of(GaussMarkov(mean_mbps=100.0, std_mbps=10.0, memory=0.8), 2048, ues=40)
    assert rates.mean() == pytest.approx(100, abs=0.5)
    assert rates.std() == pytest.approx(10, rel=0.03)
    centred = rates - 100
    for lag in (1, 2, 5):
        correlation = (centred[:, :-lag] * centred[:, lag:]).mean() / centred.var()
        assert correlation == pytest.approx(0.8**lag, abs=0.03)


def test_markov_is_good_for_its_share_of_the_time():
    rates = rates_of(Markov(leave_good=0.1, leave_bad=0.3), 4096, ues=20)
    assert (rates == 60.0).mean() == pytest.approx(0.75, abs=0.02)
    good = rates[:, :-1] == 60.0
    assert (rates[:, 1:][good] == 10.0).mean() == pytest.approx(0.1, abs=0.01)


def markov_by_hand(channel, seed, ue, blocks):
    """The Gilbert-Elliott chain, tick by tick, from the draws of each block."""
    share = channel.leave_bad / (channel.leave_good + channel.leave_bad)
    good, rates = stream(seed, "first state", ue).random() < share, []
    for number in range(blocks):
        for tick, draw in enumerate(stream(seed, "channel", ue, number).random(BLOCK)):
            if number or tick:
                good = good != (draw < (channel.leave_good if good else channel.leave_bad))
            rates.append(channel.good_mbps if good else channel.bad_mbps)
    return rates


def walk_by_hand(channel, seed, ue, blocks):
    """Uniform steps, tick by tick; a step that would cross a bound is reflected, and so are those after it."""
    low, high = channel.low_mbps, channel.high_mbps
    rate = abs(channel.initial_mean_mbps + channel.initial_std_mbps * stream(seed, "first rate", ue).normal())
    rates = []
    for number in range(blocks):
        towards = 1
        for tick, draw in enumerate(stream(seed, "channel", ue, number).random(BLOCK)):
            if number or tick:
                rate += towards * (channel.step_low_mbps + (channel.step_high_mbps - channel.step_low_mbps) * draw)
            while not low <= rate <= high:
                rate, towards = 2 * high - rate if rate > high else 2 * low - rate, -towards
            rates.append(rate)
    return rates


@pytest.mark.parametrize(
    "channel, by_hand",
    [
        (Markov(), markov_by_hand),
        (Markov(leave_good=0.9, leave_bad=0.2), markov_by_hand),
        (Markov(leave_good=1.0, leave_bad=1.0), markov_by_hand),
        (RandomWalk(step_low_mbps=-120.0, step_high_mbps=120.0), walk_by_hand),
    ],
)
def test_a_walk_is_the_same_whatever_was_asked_before(channel, by_hand):
    wanted = np.reshape(by_hand(channel, 11, 2, 6), (6, BLOCK))
    for number in (4, 2, 5, 0):
        assert course(channel, 11, 2, number) == pytest.approx(wanted[number], rel=1e-9)


@pytest.mark.parametrize("channel", [Markov(tick_s=0.001, leave_good=0.3), RandomWalk(tick_s=0.001)])
def test_what_has_passed_is_walked_through_once(channel, monkeypatch):
    walked = []
    onward = type(channel).onward
    monkeypatch.setattr(type(channel), "onward", lambda *args: walked.append(args[3]) or onward(*args))
    for start_s in (1100.0, 1100.5, 1101.0):
        channel.arrivals_s(8, 5, 0, start_s, [1.0])
    assert len(walked) <= 4301 + 10
    # 1101 s are 4,301 blocks; a return to earlier times starts at most 255 blocks before.
    channel.carried_mbit(8, 5, 0, 1099.0, 1101.0)
    assert len(walked) <= 4301 + 256 + 10


def test_links_of_many_ues_in_turn_are_drawn_once(monkeypatch):
    channel, walked, onward = RandomWalk(tick_s=0.001), [], RandomWalk.onward
    monkeypatch.setattr(RandomWalk, "onward", lambda *args: walked.append(args[3]) or onward(*args))
    for start_s in (0.0, 0.1, 0.3, 0.4):
        for ue in range(5000):
            channel.rates_of(31, [ue], [0], start_s)
            next(channel.pieces(31, ue, 0, start_s))
    assert walked == [0] * 5000 + [1] * 5000


# Ticks of 1 ms, so that 100,000 s are 10^8 of them.
KNOW_ANY_TIME = [
    Fading(tick_s=0.001, radius_m=100.0, shadowing_db=4.0, shares=1),
    Cell(tick_s=0.001, radius_m=100.0, shadowing_db=4.0, shares=1, other_cells="hexagons"),
    GaussMarkov(tick_s=0.001),
    GaussMarkov(tick_s=0.001, memory=0.999),
    GaussMarkov(tick_s=0.001, memory=1 - 1e-12),
    Markov(tick_s=0.001),
    Markov(tick_s=0.001, leave_good=0.002, leave_bad=0.004),
]


def forget():
    """Clear the caches, as in a new process."""
    for remembered in (course, ticked._stood, ticked.side_by_side, gauss_markov._coarser):
        remembered.cache_clear()


@pytest.mark.parametrize("channel", KNOW_ANY_TIME)
def test_a_late_upload_costs_what_an_early_one_does(channel):
    def cost_s(start_s):
        forget()
        begun = time.process_time()
        for now in range(3):
            for ue in range(5):
                assert channel.arrivals_s(1, ue, 0, start_s + now, [10.0])[0] < math.inf
        return time.process_time() - begun

    cost_s(0.0)
    costs_s = [[cost_s(start_s) for start_s in (0.0, 100_000.0)] for _ in range(7)]
    early_s, late_s = np.min(costs_s, axis=0)
    assert late_s < 3 * early_s


@pytest.mark.parametrize("channel", KNOW_ANY_TIME)
def test_a_late_block_is_the_same_whatever_was_asked_before(channel):
    late = 10**8 // BLOCK
    numbers = [late, late + 1, late + 255, late + 256, late + 257]
    forget()
    wanted = {number: course(channel, 1, 3, number) for number in numbers}
    forget()
    for number in reversed(numbers):
        course(channel, 1, 2, number)
        assert (course(channel, 1, 3, number) == wanted[number]).all()
        forget()
        assert (channel.blocks(1, [2, 3], number)[1] == wanted[number]).all()


def test_a_markov_link_is_followed_from_the_last_tick_that_settles_it():
    """Follows both possible states, tick by tick, until they coincide."""
    channel, first = Markov(leave_good=0.001, leave_bad=0.004), 10**9
    one, other = True, False
    for number in range(first, first + 12):
        rates = course(channel, 4, 1, number)
        for rate, draw in zip(rates, stream(4, "channel", 1, number).random(BLOCK)):
            one, other = (good != (draw < (0.001 if good else 0.004)) for good in (one, other))
            if one == other:
                assert rate == (60.0 if one else 10.0)
    assert one == other


def test_a_link_walks_up_to_a_limit_that_is_told():
    for channel in (Markov(tick_s=0.001, leave_good=0.3), RandomWalk(tick_s=0.001)):
        with pytest.raises(UserError, match=r"tick_s = 0\.001 .* 10,000,000 ticks"):
            channel.arrivals_s(1, 0, 0, 10_000.0, [1.0])
    for channel in (
        Fading(tick_s=0.001),
        GaussMarkov(tick_s=0.001),
        GaussMarkov(tick_s=0.001, memory=0.9999),
        Markov(tick_s=0.001, leave_good=0.5, leave_bad=0.5001),
    ):
        assert 1e6 < channel.arrivals_s(1, 3, 0, 1e6, [1.0])[0] < 1e6 + 100
        with pytest.raises(UserError, match="virtual time"):
            channel.arrivals_s(1, 0, 0, 1e300, [1.0])


def test_gauss_markov_of_a_short_memory_is_the_recursion_over_its_noise():
    memory, level, wanted = 0.97, 0.0, []
    for number in range(8):
        for noise in stream(1, "channel", 4, number).standard_normal(BLOCK):
            level = memory * level + math.sqrt(1 - memory**2) * noise
            wanted.append(1000 + 10 * level)
    channel = GaussMarkov(mean_mbps=1000.0, std_mbps=10.0, memory=memory)
    # After 1,024 ticks the state before time 0 is forgotten.
    for number in (7, 4, 6, 5):
        assert course(channel, 1, 4, number) == pytest.approx(wanted[number * BLOCK :][:BLOCK], abs=1e-7)


def normal_of(channel, seed, ue, number):
    return (course(channel, seed, ue, number) - channel.mean_mbps) / channel.std_mbps


@pytest.mark.parametrize("memory", [0.98, 0.999, 0.99999, 1 - 1e-7])
def test_gauss_markov_of_a_long_memory_is_driven_by_white_noise_across_all_blocks(memory):
    """The innovation of a tick is N(0, 1), and independent of the innovations of other ticks and of the previous
    tick: this defines the process."""
    channel, edge = GaussMarkov(mean_mbps=1e4, std_mbps=10.0, memory=memory), 3 * BLOCK
    rates = np.stack([[normal_of(channel, 2, ue, edge + n) for n in (-2, -1, 0, 1)] for ue in range(300)]).reshape(
        300, -1
    )
    noise = (rates[:, 1:] - memory * rates[:, :-1]) / math.sqrt(1 - memory**2)
    everywhere, between = noise.ravel(), noise[:, BLOCK - 1 :: BLOCK].ravel()
    for driven in (everywhere, between):
        assert driven.mean() == pytest.approx(0, abs=4 / math.sqrt(len(driven)))
        assert driven.var() == pytest.approx(1, abs=4 * math.sqrt(2 / len(driven)))
        assert (driven**4).mean() == pytest.approx(3, abs=4 * math.sqrt(96 / len(driven)))
    for lag in (1, 2, 10, 255, 256, 257):
        products = noise[:, lag:] * noise[:, :-lag]
        assert products.mean() == pytest.approx(0, abs=4 / math.sqrt(products.size))
    products = noise * rates[:, :-1]
    for found in (products.ravel(), products[:, BLOCK - 1 :: BLOCK].ravel()):
        # The ticks of a UE are correlated, but not with the noise that comes after them.
        assert found.mean() == pytest.approx(0, abs=4 / math.sqrt(len(found)))


class Unit:
    """Draws that are 0 except for one number, which is 1; it records the draws."""

    def __init__(self, one=None):
        self.one, self.drawn = one, set()

    def __call__(self, *key):
        self.key = key
        return self

    def standard_normal(self, count):
        self.drawn.update((self.key, place) for place in range(count))
        return np.array([float((self.key, place) == self.one) for place in range(count)])


def test_gauss_markov_of_a_long_memory_has_its_covariance_exactly(monkeypatch):
    """With blocks of 4 ticks, a process that forgets within 76 ticks is drawn on five levels. The effect of each
    drawn number on each tick gives the covariance: a^k between all ticks, also across blocks of any level."""
    memory, ticks = 0.76, range(240, 288)

    def course_of(unit):
        monkeypatch.setattr(gauss_markov, "briefly", unit)
        gauss_markov._coarser.cache_clear()
        blocks = [gauss_markov._bridged(memory, 1, 0, 0, tick // 4) for tick in ticks[::4]]
        return np.concatenate(blocks)

    monkeypatch.setattr(gauss_markov, "BLOCK", 4)
    first = Unit()
    assert not course_of(first).any()
    adds = np.array([course_of(Unit(one)) for one in sorted(first.drawn)])
    gauss_markov._coarser.cache_clear()
    apart = np.abs(np.subtract.outer(np.arange(len(ticks)), np.arange(len(ticks))))
    assert len({key[1] for key, _ in first.drawn}) == 5
    assert adds.T @ adds == pytest.approx(memory**apart, abs=2e-9)


@pytest.mark.parametrize("memory", [0.999, 0.999999])
def test_gauss_markov_of_a_long_memory_has_its_correlation_over_any_distance(memory):
    """Across the edges of blocks, and of 65,536 and 16,777,216 ticks; at time 0 as at any other time."""
    channel, ues = GaussMarkov(mean_mbps=1e4, std_mbps=10.0, memory=memory), 500
    for first in (0, BLOCK**2 - 100, BLOCK**3 - 700):
        for lag in (0, 150, 800, 5000):
            before, after = (
                np.array([normal_of(channel, 3, ue, at // BLOCK)[at % BLOCK] for ue in range(ues)])
                for at in (first, first + lag)
            )
            assert after.mean() == pytest.approx(0, abs=4 / math.sqrt(ues))
            assert after.var() == pytest.approx(1, abs=4 * math.sqrt(2 / ues))
            wanted = memory**lag
            assert (before * after).mean() == pytest.approx(wanted, abs=4 * math.sqrt((1 + wanted**2) / ues))


def test_rayleigh_fading_has_an_exponential_snr():
    channel = Fading(gap_db=0.0, min_snr_db=-math.inf, shadowing_db=0.0)
    for ue in (0, 5):
        mean = 10 ** (site(channel, 1, ue).mean_snr_db / 10)
        rates = np.concatenate([course(channel, 1, ue, block) for block in range(80)])
        snr = np.sort(2 ** (rates / channel.share_mhz()) - 1)
        law = 1 - np.exp(-snr / mean)
        gap = np.abs(law - (np.arange(len(snr)) + 0.5) / len(snr)).max()
        assert gap < 1.95 / math.sqrt(len(snr))


def test_rician_fading_has_mean_one_and_the_variance_of_its_factor():
    channel, k = Fading(rician_k_db=6.0), 10**0.6
    gain = channel.power_gain(np.random.Generator(np.random.Philox(1)), 200_000)
    assert gain.mean() == pytest.approx(1, abs=0.01)
    assert gain.var() == pytest.approx((2 * k + 1) / (k + 1) ** 2, rel=0.03)


def test_ues_are_spread_evenly_over_the_area_of_the_cell():
    channel = Fading(min_distance_m=50.0, radius_m=400.0)
    distances = np.array([site(channel, 1, ue).distance_m for ue in range(4000)])
    assert distances.min() >= 50 and distances.max() <= 400
    assert (distances < 200).mean() == pytest.approx((200**2 - 50**2) / (400**2 - 50**2), abs=0.03)


def test_path_loss_of_the_3gpp_tables_by_hand():
    distance = np.array([100.0])
    clear, blocked = np.array([True]), np.array([False])
    # UMa at 2 GHz and 100 m: d3D = sqrt(100^2 + 23.5^2) = 102.724, 28 + 22 log10 d3D + 20 log10 2.
    assert UrbanMacro().loss_db(distance, 2.0, clear)[0] == pytest.approx(28 + 22 * 2.011672 + 6.0206, abs=1e-3)
    assert UrbanMacro().loss_db(distance, 2.0, blocked)[0] == pytest.approx(
        13.54 + 39.08 * 2.011672 + 6.0206, abs=1e-3
    )
    # UMi at 2 GHz and 100 m: d3D = sqrt(100^2 + 8.5^2) = 100.3606.
    assert UrbanMicro().loss_db(distance, 2.0, clear)[0] == pytest.approx(32.4 + 21 * 2.001563 + 6.0206, abs=1e-3)
    # Free space at 1 m and 2 GHz is 38.46 dB; 3.5 decades more of 10 dB at 100 m.
    assert LogDistance(3.5).loss_db(distance, 2.0, blocked)[0] == pytest.approx(38.46 + 70, abs=0.01)
    assert UrbanMacro().line_of_sight_probability(np.array([10.0, 18.0]))[0] == 1.0
    assert UrbanMacro().line_of_sight_probability(np.array([63.0]))[0] == pytest.approx(
        18 / 63 + math.exp(-1) * 45 / 63
    )


def deliver_packets(milliseconds, start_ms, packets):
    """The behaviour of mm-link, packet by packet: loop over the file, and send one packet at each line."""
    loop = 0
    while True:
        for line in milliseconds:
            now = loop * milliseconds[-1] + line
            if now >= start_ms:
                packets -= 1
                if packets == 0:
                    return now / 1000
        loop += 1


@given(
    st.lists(st.integers(0, 50), min_size=2, max_size=20).map(sorted).filter(lambda lines: lines[-1] > 0),
    st.integers(0, 500),
    st.integers(1, 60),
)
def test_mahimahi_delays_are_those_of_packets_at_the_listed_milliseconds(
    tmp_path_factory, lines, start_ms, packets
):
    path = tmp_path_factory.mktemp("trace") / "packets"
    path.write_text("\n".join(map(str, lines)))
    channel = Trace(str(path), offset="none")
    wanted = deliver_packets(lines, start_ms, packets)
    for bits in (12_000 * packets, 12_000 * (packets - 1) + 1):
        (arrival,) = channel.arrivals_s(1, 0, 0, start_ms / 1000, [bits / 1e6])
        assert arrival == pytest.approx(wanted, abs=1e-9)


def test_a_recorded_lte_link_carries_its_published_mean_rate():
    data = os.environ.get("FL_SIMU_DATA")
    if not data:
        pytest.skip("needs FL_SIMU_DATA with traces/mahimahi")
    channel = Trace(str(Path(data) / "traces" / "mahimahi" / "Verizon-LTE-short.up"), offset="none")
    (arrival,) = channel.arrivals_s(1, 0, 0, 0.0, [5.95 * 140])
    assert arrival == pytest.approx(140, rel=0.01)
    assert channel.carried_mbit(1, 0, 0, 0.0, 140.0) / 140 == pytest.approx(5.95, rel=0.01)


def test_a_file_of_two_columns_repeats(tmp_path):
    path = tmp_path / "rates"
    path.write_text("10 1.0\n11 0.0\n13 4.0\n")
    channel = Trace(str(path), offset="none")
    # 1 Mbit in the first second, nothing for two, 4 Mbit/s for two seconds, then from the start.
    assert channel.arrivals_s(1, 0, 0, 0.0, [1.0, 4.0, 4.5]) == (1.0, 4.0, 5.5)
    assert channel.arrivals_s(1, 0, 0, 0.5, [0.5, 1.0]) == (1.0, 3.25)
