import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_simu.kernel import clock as clock_module
from fl_simu.kernel.clock import Clock

PUSHES = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0, 7.25]), st.integers(0, 2)), max_size=30)


@given(PUSHES)
def test_events_come_by_time_then_priority_then_order_of_pushing(pushes):
    clock = Clock()
    for number, (time_s, priority) in enumerate(pushes):
        clock.push(time_s, number, priority)
    popped = [clock.pop() for _ in pushes]
    # sorted() is stable: equal keys keep the order of pushing.
    assert popped == sorted(range(len(pushes)), key=lambda number: pushes[number])


@given(PUSHES, st.integers(0, 30))
def test_a_restored_clock_goes_on_alike(pushes, done):
    clock = Clock()
    for number, (time_s, priority) in enumerate(pushes):
        clock.push(time_s, number, priority)
    for _ in range(min(done, len(pushes))):
        clock.pop()
    other = Clock()
    other.restore(clock.now_s, clock.pending())
    for each in (clock, other):
        each.push(7.25, "new")
    assert [clock.pop() for _ in range(len(clock))] == [other.pop() for _ in range(len(other))]


@pytest.mark.parametrize("time_s", [0.999, -1.0, math.nan])
def test_time_never_runs_backwards(time_s):
    clock = Clock()
    clock.push(1.0, "event")
    clock.pop()
    with pytest.raises(ValueError, match="before now"):
        clock.push(time_s, "earlier")


def test_realtime_sleeps_for_the_virtual_time_over_the_factor(monkeypatch):
    wall, slept = [100.0], []
    monkeypatch.setattr(clock_module.time, "monotonic", lambda: wall[0])
    monkeypatch.setattr(clock_module.time, "sleep", slept.append)
    clock = Clock(realtime=4.0)
    for time_s in (0.0, 2.0):
        clock.push(time_s, "event")
    clock.pop()
    wall[0] += 0.125
    clock.pop()
    assert slept == [0.0, 0.375]
