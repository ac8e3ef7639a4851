"""Unequal local work: steps per UE, their cost, and their effect on the model."""

from collections import Counter

import numpy as np
import pytest
import torch

import fl_simu as fl
from fl_simu.kernel.errors import BadField
from fl_simu.ue.training import Key, LocalTraining
from fl_simu.ue.work import FixedWork, FullWork, TimeBudget, UniformWork, Work
from tests.ue.test_drift import CURVATURES, OPTIMA, quadratics

FULL = Work(40, 2, 8)


def test_each_has_its_own_number_of_epochs():
    assert [FixedWork((1, 3)).steps(1, ue, 0, FULL, 0.1, 0.0) for ue in range(5)] == [4, 12, 4, 12, 4]
    assert FullWork().steps(1, 0, 0, FULL, 0.1, 0.0) == 8


def test_drawn_epochs_are_uniform_and_as_many_ues_as_said_make_them():
    """Bounds of five standard deviations of a binomial count."""
    rule, draws = UniformWork(low=3, high=5, share=0.75), 4000
    counts = Counter(rule.steps(1, ue, round, FULL, 0.1, 0.0) for ue in range(40) for round in range(100))
    shares = {8: 0.25, 12: 0.25, 16: 0.25, 20: 0.25}
    assert set(counts) == set(shares)
    for steps, share in shares.items():
        assert abs(counts[steps] - draws * share) < 5 * np.sqrt(draws * share * (1 - share)), steps
    once = UniformWork(low=1, high=9, per_round=False)
    assert len({once.steps(1, 3, round, FULL, 0.1, 0.0) for round in range(9)}) == 1
    assert len({once.steps(1, ue, 0, FULL, 0.1, 0.0) for ue in range(40)}) == 9


@pytest.mark.parametrize(
    ("seconds", "step_s", "waited_s", "steps"),
    [(1.0, 0.3, 0.0, 3), (1.0, 0.3, 0.2, 2), (0.3, 0.1, 0.0, 3), (9.0, 0.3, 0.0, 8), (1.0, 2.0, 0.0, 1),
     (1.0, 0.3, 1.5, 1), (1.0, 0.0, 0.9, 8), (1.0, 0.3, float("inf"), 1)],
)  # fmt: skip
def test_as_many_steps_as_fit(seconds, step_s, waited_s, steps):
    assert TimeBudget(seconds).steps(1, 0, 0, FULL, step_s, waited_s) == steps


def test_fewer_steps_are_the_first_ones_and_more_go_on():
    local = LocalTraining(lambda: torch.nn.Linear(1, 1), torch.nn.functional.mse_loss, None, 2, batch_size=4)
    key, longer = Key(1, 2, 3), LocalTraining(local.make_module, local.loss, None, 5, batch_size=4)
    wanted = [order.tolist() for order in longer.orders(key, 10)]
    assert [len(order) for order in wanted] == [4, 4, 2] * 5
    for steps in (1, 4, 6, 14):
        assert [order.tolist() for order in local.orders(key, 10, steps)] == wanted[:steps]


def test_one_step_and_ten_move_the_fixed_point_of_the_mean_and_not_that_of_fednova():
    """tau steps of rate lr cover c = 1 - (1 - lr a)^tau of the way to b: the mean stays where sum c (w - b) is 0,
    FedNova where sum c / tau (w - b) is, which for small rates is the optimum, where sum a (w - b) is."""
    lr, taus = 0.01, torch.tensor([1.0, 10.0])
    a, b = CURVATURES[:2], OPTIMA[:2]
    shares, true = 1 - (1 - lr * a) ** taus, float((a * b).sum() / a.sum())
    changes = {"optimizer": {"name": "sgd", "lr": lr}, "work": FixedWork((1, 10)), "counts": (2, 2)}
    for rule, weights in (("plain_mean", shares), ("fednova", shares / taus)):
        wanted = float((weights * b).sum() / weights.sum())
        found = quadratics("fedavg", 150, steps=1, aggregation=rule, **changes).model["layer.weight"]
        assert found.view(-1).tolist() == pytest.approx([wanted] * 4, abs=2e-4)
        assert abs(wanted - true) < 0.1 if rule == "fednova" else abs(wanted - true) > 0.7


def test_a_part_of_the_steps_takes_that_part_of_time_and_energy():
    """Four batches of 5 take 2 s; two steps fit into 1.2 s, of which the download takes 0.1 s."""
    values = {
        **{"rounds": 1, "ues": 2, "backend": "torch", "model": "logistic_regression"},
        "data": {"name": "digits", "train_samples": 20, "test_samples": 10},
        "training": {"batch_size": 5, "epochs": 2},
        "compute": {"name": "constant", "seconds": 2.0},
        # 7850 parameters of 32 bits.
        "downlink": {"name": "constant", "rate_mbps": 7850 * 32 / 1e5},
        "size": {"name": "bytes"},
        "meters": ["energy"],
    }
    full, part = (
        fl.run(fl.Experiment.parse({**values, "work": work}))
        for work in ("full", {"name": "time_budget", "seconds": 1.2})
    )
    assert [outcome.compute_s for outcome in part.records[0].ues] == [1.0, 1.0]
    energies = [run.records[0].meters["compute_energy_j"] for run in (full, part)]
    assert energies[1] == pytest.approx(energies[0] / 2)
    assert part.summary.model_sha256 != full.summary.model_sha256


@pytest.mark.parametrize(
    ("rule", "field"),
    [(lambda: FixedWork(()), "epochs"), (lambda: FixedWork((1, 0)), "epochs"), (lambda: UniformWork(3, 2), "high"),
     (lambda: UniformWork(share=1.5), "share"), (lambda: TimeBudget(0.0), "seconds")],
)  # fmt: skip
def test_what_is_no_work_is_refused(rule, field):
    with pytest.raises(BadField) as error:
        rule()
    assert error.value.field == field
