"""The UEs to which the BS hands the model."""

from collections import Counter

import pytest

import fl_simu as fl
from fl_simu.station.selection import SELECTIONS, RandomDraw, RoundRobin
from fl_simu.station.selection.base import View

MAY_TAKE_FEWER = ("fedcs", "tifl", "tifl_static")

# (seed, version, UEs, drawn) -> UEs. A change here changes every run that draws fewer UEs than there are.
DRAWN = {
    (1, 0, 10, 3): (1, 7, 8),
    (1, 7, 10, 3): (2, 3, 8),
    (5, 2, 100, 4): (4, 9, 33, 99),
    (3, 1, 4, 4): (0, 1, 2, 3),
}


def choose(selection, version, ues, free, busy=(), state=None, seed=1):
    idle = [ue for ue in range(ues) if ue not in busy]
    told = [lambda ue, what=what: float((ue + version + what) % 3) for what in range(4)]
    view = View(seed, version, 0.0, dict.fromkeys(range(ues), 1), idle, *told)
    return selection.choose(selection.start() if state is None else state, view, free)


@pytest.mark.parametrize("key", DRAWN)
def test_the_random_draw_is_what_it_was(key):
    seed, version, ues, drawn = key
    assert tuple(sorted(choose(RandomDraw(), version, ues, drawn, seed=seed)[1])) == DRAWN[key]


def test_every_order_of_three_ues_comes_equally_often():
    orders = Counter(choose(RandomDraw(), version, 3, 3)[1] for version in range(1200))
    # Chi-squared with 5 degrees of freedom exceeds 25.74 in one of 10,000 cases (scipy.stats.chi2.ppf(0.9999, 5)).
    assert len(orders) == 6 and sum((count - 200) ** 2 for count in orders.values()) / 200 < 25.74


def test_round_robin_lets_each_ue_wait_as_long_as_any():
    """3 of 10 UEs per round: each takes part every third or fourth round, and all equally often in 10 rounds."""
    state, chosen = RoundRobin().start(), []
    for version in range(20):
        state, ues = choose(RoundRobin(), version, 10, 3, state=state)
        chosen.append(ues)
    assert chosen[:4] == [(0, 1, 2), (3, 4, 5), (6, 7, 8), (9, 0, 1)]
    assert Counter(sum(chosen, ())) == dict.fromkeys(range(10), 6)
    for ue in range(10):
        turns = [version for version, ues in enumerate(chosen) if ue in ues]
        assert {later - earlier for earlier, later in zip(turns, turns[1:])} <= {3, 4}


def test_round_robin_passes_over_who_is_at_work():
    state, ues = choose(RoundRobin(), 0, 6, 2, busy=(0, 2, 5))
    assert (state, ues) == (4, (1, 3))
    assert choose(RoundRobin(), 1, 6, 3, busy=(1, 3, 5), state=state)[1] == (4, 0, 2)


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("free", [0, 1, 3, 9])
def test_a_selection_takes_idle_ues_once_each_as_many_as_there_are_places(name, free):
    for version in range(20):
        _, ues = choose(SELECTIONS[name](), version, 8, free, busy=(1, 4))
        assert len(ues) == len(set(ues)) and not {1, 4} & set(ues)
        # A selection with a deadline takes as many UEs as fit, and one tier may have fewer UEs.
        assert len(ues) == min(free, 6) or (name in MAY_TAKE_FEWER and len(ues) <= free)


class StopAtTwo(fl.Observer):
    def aggregated(self, record, coordinator):
        if record.round == 2:
            coordinator.stop()


@pytest.mark.parametrize("protocol", ["wait_for_all", {"name": "buffered", "k": 1}])
def test_round_robin_goes_on_after_a_resume_where_it_stood(protocol, tmp_path):
    values = {
        **{"rounds": 5, "ues": 5, "ues_per_round": 2, "backend": "torch", "model": "logistic_regression"},
        **{"data": {"name": "digits", "train_samples": 100, "test_samples": 20}, "selection": "round_robin"},
        **{"protocol": protocol, "compute": {"name": "uniform"}},
    }
    experiment = fl.Experiment.parse(values)
    fl.run(experiment, tmp_path / "run", observers=[StopAtTwo()])
    resumed, whole = fl.resume(tmp_path / "run"), fl.run(experiment)
    assert [[one.ue for one in record.ues] for record in resumed.records] == [
        [one.ue for one in record.ues] for record in whole.records
    ]
    assert resumed.summary.model_sha256 == whole.summary.model_sha256
