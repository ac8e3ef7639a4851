import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_simu.uplink.channels.base import arrivals_s, carried_mbit
from fl_simu.uplink.channels.constant import Constant
from fl_simu.uplink.channels.normal import Normal

PIECES = st.lists(st.tuples(st.floats(0, 100), st.floats(0.01, 5)), min_size=1, max_size=6)


def course(pieces, start_s):
    """Pieces of given rates and lengths from `start_s` on; the last rate, made positive, holds for ever."""
    now = start_s
    for rate_mbps, length_s in pieces:
        now += length_s
        yield rate_mbps, now
    yield pieces[-1][0] + 1.0, math.inf


@given(PIECES, st.floats(0, 10), st.lists(st.floats(0, 50), min_size=1, max_size=4))
def test_what_was_carried_by_the_arrival_is_what_was_sent(pieces, start_s, loads):
    arrivals = arrivals_s(course(pieces, start_s), start_s, loads)
    assert list(arrivals) == sorted(arrivals)
    for arrival, sent in zip(arrivals, np.cumsum(loads)):
        carried = carried_mbit(course(pieces, start_s), start_s, arrival)
        assert carried == pytest.approx(sent, rel=1e-9, abs=1e-6)


def test_a_rate_that_changes_while_sending_counts():
    pieces = [(10.0, 1.0), (0.0, 3.0), (2.0, math.inf)]
    # 10 Mbit in the first second, nothing until 3 s, then 2 Mbit/s.
    assert arrivals_s(iter(pieces), 0.0, [10.0, 4.0]) == (1.0, 5.0)


def test_a_dead_link_never_delivers():
    assert arrivals_s(iter([(5.0, 1.0), (0.0, math.inf)]), 0.0, [5.0, 0.001]) == (1.0, math.inf)


def test_constant_delay_is_load_over_rate():
    assert arrivals_s(Constant(50.0).pieces(1, 0, 0, 2.0), 2.0, [70.0]) == (2.0 + 1.4,)


def test_normal_rates_pass_the_notes_thresholds_as_the_normal_law_says():
    rates = [next(Normal().pieces(1, ue, round, 0.0))[0] for ue in range(100) for round in range(200)]
    for threshold_s in (1.9444, 1.4, 1.1864):
        measured = np.mean([70.0 / rate <= threshold_s for rate in rates])
        # P(|N| >= x) for N(50, 16.67): the mass above x and below -x.
        x = 70.0 / threshold_s
        wanted = sum(0.5 * math.erfc((x - sign * 50.0) / 16.67 / math.sqrt(2)) for sign in (1, -1))
        assert measured == pytest.approx(wanted, abs=4 * math.sqrt(0.25 / len(rates)))
