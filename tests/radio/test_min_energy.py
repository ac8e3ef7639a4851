"""The least energy within a given time: by hand, against scipy, and against equal shares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from fl_simu.kernel.errors import BadField
from fl_simu.meters import Energy
from fl_simu.radio.allocation import Equal, MinEnergy, MinMaxDelay
from fl_simu.radio.allocation.base import Sending
from fl_simu.radio.allocation.spectrum import Linear, Shannon
from fl_simu.radio.media import PlannedBand
from fl_simu.station.protocols import WaitForAll
from tests.loop.test_coordinator import coordinator, seen
from tests.radio.test_allocation import RATE_OF, numbered


def times_s(loads, rates, shares, spectrum):
    return [RATE_OF[spectrum](rate, shares[ue]) and load / RATE_OF[spectrum](rate, shares[ue])
            for ue, (load, rate) in enumerate(zip(loads, rates))]  # fmt: skip


@pytest.mark.parametrize(
    ("deadline_s", "shares"),
    [
        # 1 and 4 s alone: shares in the ratio 1 to 2, times of 3 and 6 s.
        (6.0, [1 / 3, 2 / 3]),
        (100.0, [1 / 3, 2 / 3]),
        # UE 1 needs the share 8 / 11 to end in 5.5 s, and UE 0 has the rest.
        (5.5, [3 / 11, 8 / 11]),
        # Just enough time for both, and too little: all finish together, after 5 s.
        (5.0, [1 / 5, 4 / 5]),
        (4.0, [1 / 5, 4 / 5]),
    ],
)
def test_shares_of_the_least_energy_by_hand(deadline_s, shares):
    found = MinEnergy(deadline_s).shares(numbered([2, 4]), numbered([2, 1]))
    assert found == pytest.approx(numbered(shares), rel=1e-12)


def test_the_time_that_is_left_counts_from_the_start_of_an_upload():
    senders = {0: Sending((1.0,), 0, 1.0, 0.0), 1: Sending((4.0,), 1, 1.0, 4.5)}
    assert MinEnergy(10.0).divide(senders) == pytest.approx({0: 3 / 11, 1: 8 / 11})
    # And where it is over.
    late = {**senders, 1: Sending((4.0,), 1, 1.0, 11.0)}
    assert MinEnergy(10.0).divide(late) == MinMaxDelay().divide(late)


def test_who_is_in_outage_waits():
    found = MinEnergy(100.0).shares(numbered([2, 3, 4, 0]), numbered([2, 0, 1, 1]))
    assert found == pytest.approx({0: 1 / 3, 1: 0.0, 2: 2 / 3, 3: 0.0})
    assert MinEnergy().shares(numbered([1, 3]), numbered([0, 0])) == {0: 1 / 4, 1: 3 / 4}


@pytest.mark.parametrize("spectrum", RATE_OF, ids=str)
@pytest.mark.parametrize("number", [2, 3, 4, 5])
@pytest.mark.parametrize("slack", [1.02, 1.3, 10.0])
def test_the_least_energy_is_what_scipy_finds(number, spectrum, slack):
    draws, rate_of = np.random.RandomState(number), RATE_OF[spectrum]
    loads, rates = draws.uniform(0.2, 5, number), draws.uniform(0.5, 3, number)
    senders = {ue: Sending((load,), 0, rate) for ue, (load, rate) in enumerate(zip(loads, rates))}
    fastest = MinMaxDelay().divide(senders, spectrum)
    deadline_s = slack * max(times_s(loads, rates, fastest, spectrum))
    shares = MinEnergy(deadline_s).divide(senders, spectrum)
    found = minimize(
        lambda x: (loads / rate_of(rates, x)).sum() / (loads / rates).sum(),
        list(fastest.values()),
        method="SLSQP",
        bounds=[(1e-6, 1)] * number,
        constraints=[
            {"type": "ineq", "fun": lambda x: rate_of(rates, x) * deadline_s / loads - 1},
            {"type": "ineq", "fun": lambda x: 1 - x.sum()},
        ],
        options={"ftol": 1e-9, "maxiter": 500},
    )
    assert found.success and list(shares.values()) == pytest.approx(found.x, rel=3e-3)
    times = times_s(loads, rates, shares, spectrum)
    assert sum(times) == pytest.approx(found.fun * sum(loads / rates), rel=1e-6)
    assert sum(times) <= found.fun * sum(loads / rates) * (1 + 1e-7) and max(times) <= deadline_s * (1 + 1e-9)
    assert sum(shares.values()) == pytest.approx(1, rel=1e-9)


@settings(deadline=None)
@given(
    loads=st.lists(st.floats(0.01, 100), min_size=1, max_size=6),
    data=st.data(),
    spectrum=st.sampled_from([Linear(), Shannon(0.5)]),
    slack=st.floats(1, 5),
)
def test_never_worse_than_equal_where_both_end_in_time(loads, data, spectrum, slack):
    rates = data.draw(st.lists(st.floats(0.01, 20), min_size=len(loads), max_size=len(loads)))
    senders = {ue: Sending((load,), 0, rate) for ue, (load, rate) in enumerate(zip(loads, rates))}
    equal = times_s(loads, rates, Equal().divide(senders, spectrum), spectrum)
    deadline_s = slack * max(equal)
    shares = MinEnergy(deadline_s).divide(senders, spectrum)
    times = times_s(loads, rates, shares, spectrum)
    assert sum(shares.values()) <= 1 + 1e-9
    assert sum(times) <= sum(equal) * (1 + 1e-9) and max(times) <= deadline_s * (1 + 1e-9)


@pytest.mark.parametrize(("allocator", "joule"), [(MinEnergy(100.0), (1 + 2 + 0.5) ** 2), (Equal(), 3 * 5.25)])
def test_a_run_with_planned_shares_spends_the_closed_form(allocator, joule):
    # A Mbit at 1, 0.25 and 4 Mbit/s with 1 W: a_i of 1, 4 and 0.25 s; the square of the sum of their roots.
    running = coordinator(
        WaitForAll(), (1.0, 0.25, 4.0), medium=PlannedBand(), allocator=allocator,
        meters=(Energy(kappa=0.0, power_w=1.0),),
    )  # fmt: skip
    running.run()
    assert seen(running).records[0].meters["transmit_energy_j"] == pytest.approx(joule)


def test_a_time_that_is_none_is_refused():
    with pytest.raises(BadField, match=r"deadline_s = 0\.0 is not allowed"):
        MinEnergy(0.0)
