"""How often the UEs have taken part."""

from fractions import Fraction

import numpy as np
import pytest

import fl_simu as fl
from fl_simu.meters.base import RunView
from fl_simu.meters.participation import Participation

BASE = {
    **{"rounds": 6, "ues": 6, "ues_per_round": 2, "seed": 4, "backend": "torch", "model": "logistic_regression"},
    "data": {"name": "digits", "train_samples": 120, "test_samples": 20},
    "channel": {"name": "constant", "rate_mbps": 1.0},
    "meters": ["participation"],
}


class Killed(Exception):
    """Ends a run in the middle."""


class Killer(fl.Observer):
    def aggregated(self, record, coordinator):
        if record.round == 4:
            raise Killed


def of(records):
    return [(one.meters["participation_min"], one.meters["participation_jain"]) for one in records]


def by_hand(records, ues):
    """Computed from the accepted UEs of each record, with integers."""
    counts, told = [0] * ues, []
    for record in records:
        for one in record.ues:
            counts[one.ue] += one.accepted != "none"
        index = Fraction(sum(counts) ** 2, ues * sum(count**2 for count in counts)) if any(counts) else 1
        told.append((min(counts), pytest.approx(float(index))))
    return told


def test_the_index_is_that_of_a_hand_calculation():
    told = Participation().so_far(RunView(np.array([1, 2, 3, 0])))
    assert told == {"participation_min": 0.0, "participation_jain": pytest.approx(36 / (4 * 14))}
    assert Participation().so_far(RunView(np.zeros(3, dtype=np.int64)))["participation_jain"] == 1.0


def test_all_are_equal_after_each_full_turn():
    """2 of 6 in turn: 2, then 4, then all 6 UEs are equal; the second turn starts from 1 each."""
    run = fl.run(fl.Experiment.parse({**BASE, "selection": "round_robin"}))
    index = [1 / 3, 2 / 3, 1, 64 / (6 * 12), 100 / (6 * 18), 1]
    assert of(run.records) == [(n // 3, pytest.approx(one)) for n, one in zip(range(1, 7), index)]


IN_ROUNDS = {"protocol": {"name": "deadline", "deadline_s": 5.0}, "faults": {"name": "dropout", "rate": 0.3}}
BUFFERED = {"protocol": {"name": "buffered", "k": 1}, "ues_per_round": 4, "compute": "uniform"}


@pytest.mark.parametrize("changes", [IN_ROUNDS, BUFFERED])
def test_a_run_that_goes_on_counts_what_was_before(tmp_path, changes):
    experiment = fl.Experiment.parse({**BASE, **changes, "rounds": 9})
    whole = fl.run(experiment)
    assert of(whole.records) == by_hand(whole.records, 6)
    with pytest.raises(Killed):
        fl.run(experiment, tmp_path / "run", [Killer()])
    assert of(fl.resume(tmp_path / "run").records) == of(whole.records)
