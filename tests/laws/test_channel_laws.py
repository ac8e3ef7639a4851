"""The laws of channels and delay rules for any link, each rule over each channel, and more checks of ours."""

import itertools
import math

import ours
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fl_simu.kernel.errors import BadField
from fl_simu.laws import channels, delays
from fl_simu.radio.channels.base import arrivals_over
from fl_simu.radio.channels.random_walk import NotesWalk
from fl_simu.radio.channels.trace import Trace
from fl_simu.radio.delays import DELAYS, Integrated, RateAtStart

CASES = ours.cases("channel")
# The notes' walk may go below 0: it is the one exception to the laws below.
LAWFUL = [case for case in CASES if not isinstance(case.values[0], NotesWalk)]
# The next upload cannot use packets that an upload does not fill, so the loads do not add up exactly.
LOSSY = (Trace(ours.PACKETS), Trace(str(ours.RECORDINGS), offset="none"))
ADDITIVE = [case for case in LAWFUL if case.values[0] not in LOSSY]
RULES = [rule() for rule in DELAYS.values()]
RULED = [
    pytest.param(rule, case.values[0], id=f"{name} {case.id}")
    for name, rule in zip(DELAYS, RULES)
    for case in CASES
    if isinstance(rule, RateAtStart) or case in LAWFUL
]
UES, STARTS = st.integers(0, 1000), st.floats(0, 1e3)
LOADS = st.tuples(st.floats(0, 100), st.floats(0, 100))


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


@pytest.mark.parametrize("channel", CASES)
@given(ue=UES, round=st.integers(0, 50), start_s=STARTS, wait_s=st.floats(0, 5))
def test_the_laws_hold_for_any_link(channel, ue, round, start_s, wait_s):
    for law in channels.OF_LINKS:
        law.holds(channel, ue, round, start_s)
    channels.the_rate_at_a_moment_does_not_depend_on_the_start(channel, ue, round, start_s, wait_s)


@pytest.mark.parametrize("rule, channel", RULED)
@given(ue=UES, start_s=STARTS, loads=LOADS)
def test_the_laws_hold_for_any_upload(rule, channel, ue, start_s, loads):
    for law in delays.LAWS:
        law.holds(rule, channel, ue, 0, start_s, loads)
    if isinstance(rule, Integrated):
        channels.what_has_arrived_has_been_carried(channel, ue, 0, start_s, loads)


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
# These loads end with a tick: a rounding residue of the second one must not wait for the end of an outage.
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
    good = [rate_mbps > 0 for rate_mbps, _ in itertools.islice(ours.OUTAGES.pieces(1, 1, 0, 0.0), 118)]
    assert sum(good[:114]) == 66 and good[113] and not any(good[114:117])
    (first,) = Integrated().arrivals_s(ours.OUTAGES, 1, 1, 0, 0.0, [98.0])
    for start_s, load in ((0.0, 198.0), (first, 100.0)):
        assert Integrated().arrivals_s(ours.OUTAGES, 1, 1, 0, start_s, [load])[0] == pytest.approx(5.7, rel=1e-12)


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
