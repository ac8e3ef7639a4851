"""What every channel and every delay rule must do, each rule over each channel.

A new one is tested here as soon as it is registered: give a channel a few settings.
"""

import itertools
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fl_simu.kernel.errors import BadField
from fl_simu.uplink.channels import CHANNELS
from fl_simu.uplink.channels.base import arrivals_over
from fl_simu.uplink.channels.constant import Constant
from fl_simu.uplink.channels.fading import Fading
from fl_simu.uplink.channels.gauss_markov import GaussMarkov
from fl_simu.uplink.channels.markov import Markov
from fl_simu.uplink.channels.normal import Normal
from fl_simu.uplink.channels.random_walk import NotesWalk, RandomWalk
from fl_simu.uplink.channels.trace import Trace
from fl_simu.uplink.channels.uniform import Uniform
from fl_simu.uplink.delays import DELAYS, Integrated, RateAtStart

FOLDER = Path(tempfile.mkdtemp(prefix="fl_simu-traces-"))
PACKETS = str(FOLDER / "packets")
Path(PACKETS).write_text("\n".join(str(ms) for ms in (0, 1, 1, 5, 9, 20, 20, 20, 31)))
(FOLDER / "rates").write_text("0 5.0\n1.5 0.0\n2.0 40.0\n6.25 1.0\n")

OUTAGES = Markov(tick_s=0.05, bad_mbps=0.0)
SETTINGS = {
    "constant": [Constant(), Constant(0.001)],
    "uniform": [Uniform(), Uniform(0.0, 5.0)],
    "normal": [Normal(), Normal(0.0, 10.0), Normal(20.0, 0.0)],
    "random_walk": [RandomWalk(), RandomWalk(tick_s=0.01, step="normal", low_mbps=0.0, high_mbps=20.0)],
    "notes_walk": [NotesWalk()],
    "gauss_markov": [GaussMarkov(), GaussMarkov(tick_s=0.1, mean_mbps=5.0, memory=0.99), GaussMarkov(memory=0.0)],
    "markov": [Markov(), OUTAGES],
    "fading": [Fading(), Fading(path_loss="uma", rician_k_db=6.0), Fading(tick_s=0.001, path_loss="umi")],
    "trace": [Trace(PACKETS), Trace(str(FOLDER / "rates")), Trace(str(FOLDER), offset="none")],
}
CASES = [
    pytest.param(channel, id=f"{name} {number}")
    for name, settings in SETTINGS.items()
    for number, channel in enumerate(settings)
]
# The notes' walk may go below 0: it is the named exception to the laws below.
LAWFUL = [case for case in CASES if not isinstance(case.values[0], NotesWalk)]
# Packets that an upload does not fill are lost to the next one, so their uploads do not add up exactly.
ADDITIVE = [case for case in LAWFUL if case.values[0] not in (Trace(PACKETS), Trace(str(FOLDER), offset="none"))]
RULES = [rule() for rule in DELAYS.values()]
RULED = [
    pytest.param(rule, case.values[0], id=f"{name} {case.id}")
    for name, rule in zip(DELAYS, RULES)
    for case in CASES
    if isinstance(rule, RateAtStart) or case in LAWFUL
]
UES, STARTS = st.integers(0, 1000), st.floats(0, 1e3)
LOADS = st.tuples(st.floats(0, 100), st.floats(0, 100))


def test_every_registered_channel_is_tested_here():
    assert set(SETTINGS) == set(CHANNELS)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_refuses_only_what_it_has_no_answer_for(rule, case):
    bears = not (isinstance(rule, Integrated) and isinstance(case, NotesWalk))
    try:
        rule.check(case)
    except BadField:
        assert not bears
    else:
        assert bears


@pytest.mark.parametrize("channel", LAWFUL)
@given(ue=UES, start_s=STARTS)
def test_rates_are_never_negative_and_time_goes_on(channel, ue, start_s):
    now = start_s
    for rate_mbps, until_s in itertools.islice(channel.pieces(1, ue, 0, start_s), 50):
        assert 0 <= rate_mbps < math.inf
        assert until_s > now
        now = until_s


@pytest.mark.parametrize("channel", CASES)
@given(ue=UES, round=st.integers(0, 50), start_s=STARTS)
def test_asked_again_a_channel_tells_the_same(channel, ue, round, start_s):
    first = list(itertools.islice(channel.pieces(3, ue, round, start_s), 20))
    list(itertools.islice(channel.pieces(3, ue + 1, round, start_s), 20))
    assert list(itertools.islice(channel.pieces(3, ue, round, start_s), 20)) == first


@pytest.mark.parametrize("channel", LAWFUL)
@given(ue=UES, start_s=STARTS, wait_s=st.floats(0, 5))
def test_the_rate_at_a_moment_does_not_depend_on_where_one_began_to_look(channel, ue, start_s, wait_s):
    later = start_s + wait_s
    rate_mbps, until_s = next(piece for piece in channel.pieces(1, ue, 0, start_s) if piece[1] > later)
    # Edges are sums of floats: one that lies within a nanosecond of the moment may fall on either side.
    if until_s - later > 1e-9:
        assert next(channel.pieces(1, ue, 0, later))[0] == rate_mbps


@pytest.mark.parametrize("rule, channel", RULED)
@given(ue=UES, start_s=STARTS, loads=LOADS)
def test_delay_is_monotone_in_size_and_never_negative(rule, channel, ue, start_s, loads):
    small, large = sorted(loads)
    arrivals = [rule.arrivals_s(channel, 1, ue, 0, start_s, [load])[0] for load in (small, large)]
    assert start_s <= arrivals[0] <= arrivals[1]
    assert (
        rule.arrivals_s(channel, 1, ue, 0, start_s, loads)[0]
        <= rule.arrivals_s(channel, 1, ue, 0, start_s, [sum(loads)])[0]
    )


@pytest.mark.parametrize("rule, channel", RULED)
@given(ue=UES, start_s=STARTS, span_s=st.floats(0, 20), load=st.floats(0.01, 100))
def test_what_is_on_the_air_grows_until_it_is_the_load(rule, channel, ue, start_s, span_s, load):
    (arrival_s,) = rule.arrivals_s(channel, 1, ue, 0, start_s, [load])
    moments = [start_s, start_s + span_s / 2, start_s + span_s]
    sent = [rule.carried_mbit(channel, 1, ue, 0, start_s, moment) for moment in moments if moment <= arrival_s]
    assert sent == sorted(sent)
    assert sent[0] == 0 and (isinstance(channel, Trace) or sent[-1] <= load * (1 + 1e-6) + 1e-6)


@pytest.mark.parametrize("channel", CASES)
@given(ue=UES, start_s=STARTS, loads=LOADS, span_s=st.floats(0, 20))
def test_rate_at_start_is_size_over_rate(channel, ue, start_s, loads, span_s):
    rate_mbps = next(channel.pieces(1, ue, 0, start_s))[0]
    wanted = [
        start_s + max(0.0, size / rate_mbps) if rate_mbps else math.inf for size in itertools.accumulate(loads)
    ]
    rule = RateAtStart()
    assert rule.arrivals_s(channel, 1, ue, 0, start_s, loads) == pytest.approx(wanted, rel=1e-12)
    carried = rule.carried_mbit(channel, 1, ue, 0, start_s, start_s + span_s)
    assert carried == pytest.approx(max(0.0, rate_mbps) * span_s, abs=1e-9 * max(1.0, abs(rate_mbps)))


@pytest.mark.parametrize("channel", LAWFUL)
@given(ue=UES, start_s=STARTS, loads=st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)))
def test_two_layers_of_an_upload_arrive_as_one(channel, ue, start_s, loads):
    both = Integrated().arrivals_s(channel, 1, ue, 0, start_s, loads)[-1]
    assert both == pytest.approx(Integrated().arrivals_s(channel, 1, ue, 0, start_s, [sum(loads)])[0], rel=1e-9)


@pytest.mark.parametrize("channel", ADDITIVE)
@given(ue=UES, start_s=STARTS, loads=st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)))
# These loads end with a tick: what rounding leaves of the second one must not wait for the end of an outage.
@example(ue=1, start_s=0.0, loads=(98.0, 100.0))
@example(ue=3, start_s=1.0, loads=(98.0, 100.0))
@example(ue=11, start_s=0.0, loads=(98.0, 100.0))
def test_two_loads_after_each_other_arrive_as_one(channel, ue, start_s, loads):
    whole = Integrated().arrivals_s(channel, 1, ue, 0, start_s, [sum(loads)])[0]
    if whole < math.inf:
        (first,) = Integrated().arrivals_s(channel, 1, ue, 0, start_s, loads[:1])
        assert Integrated().arrivals_s(channel, 1, ue, 0, first, [loads[1]])[0] == pytest.approx(whole, rel=1e-9)
        pieces = channel.pieces(1, ue, 0, first)
        assert arrivals_over(pieces, first, loads[1:])[0] == pytest.approx(whole, rel=1e-9)


def test_98_and_100_mbit_arrive_with_the_tick_that_takes_their_last_bit():
    # 198 Mbit are 66 good ticks of 3 Mbit; the 66th ends at 5.70 s, and the next good one at 5.90 s.
    good = [rate_mbps > 0 for rate_mbps, _ in itertools.islice(OUTAGES.pieces(1, 1, 0, 0.0), 118)]
    assert sum(good[:114]) == 66 and good[113] and not any(good[114:117])
    (first,) = Integrated().arrivals_s(OUTAGES, 1, 1, 0, 0.0, [98.0])
    for start_s, load in ((0.0, 198.0), (first, 100.0)):
        assert Integrated().arrivals_s(OUTAGES, 1, 1, 0, start_s, [load])[0] == pytest.approx(5.7, rel=1e-12)


@pytest.mark.parametrize("channel", ADDITIVE)
@given(ue=st.integers(0, 20), start_s=STARTS, loads=st.tuples(st.floats(0, 3), st.floats(0, 3)))
def test_arrivals_are_the_integral_of_the_rate_over_the_pieces(channel, ue, start_s, loads):
    arrivals = Integrated().arrivals_s(channel, 1, ue, 0, start_s, loads)
    if arrivals[-1] - start_s < 20:
        pieces = channel.pieces(1, ue, 0, start_s)
        assert arrivals == pytest.approx(arrivals_over(pieces, start_s, loads), rel=1e-9, abs=1e-9)
        assert Integrated().carried_mbit(channel, 1, ue, 0, start_s, arrivals[-1]) == pytest.approx(
            sum(loads), rel=1e-6, abs=1e-6
        )
