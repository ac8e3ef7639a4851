import math

import pytest

from fl_simu.kernel.errors import BadField
from fl_simu.kernel.randomness import stream
from fl_simu.ue import faults as faults_module
from fl_simu.ue.faults import Battery, Crash, Dropout, NoFaults, _last_asked


def test_dropouts_come_at_their_rate_and_belong_to_ue_and_round():
    fallen = [not Dropout(0.2).works(1, ue, round) for ue in range(50) for round in range(80)]
    assert sum(fallen) / len(fallen) == pytest.approx(0.2, abs=4 * math.sqrt(0.16 / len(fallen)))
    assert fallen == [not Dropout(0.2).works(1, ue, round) for ue in range(50) for round in range(80)]
    assert all(NoFaults().works(1, ue, 0) for ue in range(50))


def test_crashes_last_and_leave_the_share_of_the_chain():
    faults = Crash(crash_rate=0.1, return_rate=0.3)
    courses = [[faults.works(1, ue, round) for round in range(60)] for ue in range(150)]
    late = [works for course in courses for works in course[20:]]
    assert sum(late) / len(late) == pytest.approx(0.75, abs=0.05)
    steps = [(before, after) for course in courses for before, after in zip(course, course[1:])]
    down = [after for before, after in steps if not before]
    assert sum(down) / len(down) == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / len(down)))


@pytest.mark.parametrize("crash_rate, return_rate", [(0.05, 0.5), (0.5, 0.05), (0.3, 0.3), (0.0, 1.0), (0.9, 1.0)])
def test_crashes_are_the_chain_from_the_first_round_on(crash_rate, return_rate):
    faults, wanted = Crash(crash_rate, return_rate), {}
    for ue in range(20):
        works = True
        for round in range(40):
            draw = stream(7, "faults", ue, round).random()
            wanted[ue, round] = works = bool(draw >= crash_rate if works else draw < return_rate)
    for shuffled in range(3):
        keys = sorted(wanted, key=lambda key: stream(shuffled, "order", *key).random()) if shuffled else wanted
        assert {key: faults.works(7, *key) for key in keys} == wanted
        _last_asked.cache_clear()


def test_a_round_draws_once_what_lies_between_it_and_the_round_before(monkeypatch):
    drawn = []
    monkeypatch.setattr(faults_module, "briefly", lambda *key: drawn.append(key) or stream(*key))
    faults, asked = Crash(0.25, 0.25), (0, 1, 1, 2, 10, 500)
    courses = [faults.works(1, 0, round) for round in asked]
    # With equal rates no draw determines a state, and each round is drawn once.
    assert sorted(drawn) == [(1, "faults", 0, round) for round in range(501)]
    _last_asked.cache_clear()
    assert [faults.works(1, 0, round) for round in reversed(asked)] == courses[::-1]


@pytest.mark.parametrize("faults", [NoFaults(), Dropout(0.3), Crash(0.2, 0.4), Battery()])
def test_many_ues_at_once_are_as_one_after_the_other(faults):
    for ues in ([], [7, 3, 3], range(0, 3000, 7)):
        working = faults.working(5, ues, 9)
        assert working.dtype == bool and working.tolist() == [faults.works(5, ue, 9) for ue in ues]


def test_a_late_round_costs_what_an_early_one_does():
    assert Crash(0.05, 0.5).works(1, 3, 10**9) in (True, False)


@pytest.mark.parametrize("make", [lambda: Dropout(1.0), lambda: Crash(-0.1), lambda: Crash(0.1, 0.0)])
def test_rates_are_checked(make):
    with pytest.raises(BadField):
        make()
