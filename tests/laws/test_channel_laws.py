"""What every channel must do. A new channel is tested here as soon as it is registered: give it a few settings."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_simu.uplink.channels import CHANNELS
from fl_simu.uplink.channels.base import arrivals_s
from fl_simu.uplink.channels.constant import Constant
from fl_simu.uplink.channels.normal import Normal

SETTINGS = {
    "constant": [Constant(), Constant(0.001)],
    "normal": [Normal(), Normal(0.0, 10.0), Normal(20.0, 0.0)],
}
CASES = [pytest.param(channel, id=str(channel)) for settings in SETTINGS.values() for channel in settings]
UES, STARTS = st.integers(0, 1000), st.floats(0, 1e4)


def test_every_registered_channel_is_tested_here():
    assert set(SETTINGS) == set(CHANNELS)


@pytest.mark.parametrize("channel", CASES)
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


@pytest.mark.parametrize("channel", CASES)
@given(ue=UES, start_s=STARTS, loads=st.tuples(st.floats(0, 500), st.floats(0, 500)))
def test_delay_is_monotone_in_size_and_never_negative(channel, ue, start_s, loads):
    small, large = sorted(loads)
    arrivals = [arrivals_s(channel.pieces(1, ue, 0, start_s), start_s, [load])[0] for load in (small, large)]
    assert start_s <= arrivals[0] <= arrivals[1]


@pytest.mark.parametrize("channel", CASES)
@given(ue=UES, start_s=STARTS, loads=st.tuples(st.floats(0.01, 500), st.floats(0.01, 500)))
def test_two_loads_after_each_other_arrive_as_one(channel, ue, start_s, loads):
    first, both = arrivals_s(channel.pieces(1, ue, 0, start_s), start_s, loads)
    whole = arrivals_s(channel.pieces(1, ue, 0, start_s), start_s, [sum(loads)])[0]
    rest = arrivals_s(channel.pieces(1, ue, 0, first), first, [loads[1]])[0]
    assert both == pytest.approx(whole, rel=1e-9)
    assert rest == pytest.approx(whole, rel=1e-9)
