"""UEs whose batteries run empty, and are charged."""

import math
from fractions import Fraction

import numpy as np
import pytest

import fl_simu as fl
from fl_simu.kernel.errors import UserError
from fl_simu.loop.plan import plan
from fl_simu.ue.faults import Battery, Charge, Spent

# An upload of 7,850 float32 parameters at 1 Mbit/s with 2 W.
COST_J = 2.0 * 7850 * 32 / 1e6
EXPERIMENT = {
    "rounds": 7, "ues": 3, "backend": "torch", "model": "logistic_regression",
    "data": {"name": "digits", "train_samples": 90, "test_samples": 30},
    "channel": {"name": "constant", "rate_mbps": 1.0},
    "compute": {"name": "constant", "seconds": 0.0},
    "protocol": {"name": "deadline", "deadline_s": 1.0},
    "meters": [{"name": "energy", "kappa": 0.0, "power_w": 2.0}, "battery"],
}  # fmt: skip


class Killed(Exception):
    pass


class Killer(fl.Observer):
    def aggregated(self, record, coordinator):
        if record.round == 4:
            raise Killed


def worked(record):
    return [one.reason != "dropped out" for one in record.ues]


@pytest.mark.parametrize("rounds", [Fraction(1, 2), 1, Fraction(5, 2), 3, 4, Fraction(24, 5), 6])
def test_a_ue_works_ceil_of_battery_by_cost_rounds(rounds):
    """A UE with any energy left works, so the last round may take more than there is."""
    faults = {"name": "battery", "battery_j": float(rounds) * COST_J}
    found = fl.run(fl.Experiment.parse({**EXPERIMENT, "faults": faults}))
    count = math.ceil(rounds)
    assert [worked(record) for record in found.records] == [[at < count] * 3 for at in range(7)]
    empty = [record.meters["empty_ues"] for record in found.records]
    assert empty == [0.0] * (count - 1) + [3.0] * (8 - count)
    assert found.summary.facts["meters"]["energy_j"]["value"] == pytest.approx(3 * count * COST_J)


@pytest.mark.parametrize("cost_j", [0.1, 0.7, 1e-3, 1 / 3, 1e9])
@pytest.mark.parametrize("rounds", [1, 10, 1000])
def test_rounding_gives_no_round_more(cost_j, rounds):
    battery, kept, count = Battery(rounds * cost_j), None, 0
    while battery.powered(1, 0, kept, 0.0):
        kept, count = battery.spent(1, 0, kept, Spent(cost_j, 0.0, 0.0)), count + 1
    assert count == rounds


def test_a_battery_by_hand():
    """10 J, 0.5 W: 4 s idle while full, 2 s of work for 9 J; 6 s idle, 2 s for 8 J; then in debt."""
    battery = Battery(10.0, harvest_w=0.5)
    kept = battery.spent(1, 0, None, Spent(9.0, 4.0, 6.0))
    assert kept == Charge(2.0, 6.0)
    kept = battery.spent(1, 0, kept, Spent(8.0, 12.0, 14.0))
    assert kept == Charge(-2.0, 14.0)
    assert [battery.powered(1, 0, kept, now_s) for now_s in (14.0, 17.9, 18.0, 18.1)] == [
        False,
        False,
        False,
        True,
    ]
    # 24 s would bring it to 10 J; the 26 s after that are lost.
    assert battery.spent(1, 0, kept, Spent(1.0, 64.0, 64.0)) == Charge(9.0, 64.0)
    # Energy harvested during work offsets the energy spent, even if the battery was full before.
    assert battery.spent(1, 0, None, Spent(1.0, 0.0, 1.0)) == Charge(9.5, 1.0)
    assert battery.spent(1, 0, None, Spent(0.2, 0.0, 1.0)) == Charge(10.0, 1.0)


def test_batteries_vary_uniformly_and_belong_to_the_ue():
    battery = Battery(20.0, spread=0.25)
    full = np.array([battery.full_j(3, ue) for ue in range(2000)])
    assert full.min() >= 15.0 and full.max() <= 25.0
    # The largest gap between the shares below and those of the uniform law: 1.95 / sqrt(n) in one of 1,000 cases.
    below = (np.sort(full) - 15.0) / 10.0
    assert np.abs(below - (np.arange(2000) + 0.5) / 2000).max() < 1.95 / math.sqrt(2000)
    assert [battery.full_j(3, ue) for ue in range(5)] == full[:5].tolist()


def test_with_harvesting_a_ue_comes_back_and_spends_what_came_in():
    """A battery for 2 rounds; a round with work takes the time of an upload, one without takes the deadline."""
    values = {**EXPERIMENT, "rounds": 40, "ues": 1}
    harvest_w = COST_J / 3
    faults = {"name": "battery", "battery_j": 2 * COST_J, "harvest_w": harvest_w}
    records = fl.run(fl.Experiment.parse({**values, "faults": faults})).records
    level, last_s, expected = 2 * COST_J, 0.0, []
    for record in records:
        works = level > 1e-9
        expected.append([works])
        level = min(2 * COST_J, level - works * COST_J + harvest_w * (record.time_s - last_s))
        last_s = record.time_s
    assert [worked(record) for record in records] == expected
    spent = sum(record.meters["energy_j"] for record in records)
    came_in = 2 * COST_J + harvest_w * last_s
    assert came_in - 2 * COST_J < spent < came_in + COST_J
    assert 10 < sum(one for (one,) in expected) < 30


def test_a_run_that_is_killed_goes_on_with_the_same_batteries(tmp_path):
    faults = {"name": "battery", "battery_j": 2.5 * COST_J, "spread": 0.5, "harvest_w": COST_J / 5}
    values = {**EXPERIMENT, "faults": faults, "rounds": 9, "ues": 6, "ues_per_round": 4}
    experiment = fl.Experiment.parse(values)
    whole = fl.run(experiment)
    assert len({worked(record).count(True) for record in whole.records}) > 2
    with pytest.raises(Killed):
        fl.run(experiment, tmp_path / "run", [Killer()])
    resumed = fl.resume(tmp_path / "run")
    assert [record.meters for record in resumed.records] == [record.meters for record in whole.records]
    assert resumed.summary.model_sha256 == whole.summary.model_sha256


def test_without_a_meter_of_energy_or_a_deadline_it_is_refused():
    values = {**EXPERIMENT, "faults": "battery"}
    with pytest.raises(UserError, match=r"faults.name = 'battery' .* not without the meter"):
        plan(fl.Experiment.parse({**values, "meters": ["battery"]}))
    with pytest.raises(UserError, match=r"faults.name = 'battery' .* wait for ever"):
        plan(fl.Experiment.parse({**values, "protocol": "wait_for_all"}))
    for wrong in ({"battery_j": 0.0}, {"spread": 1.0}, {"harvest_w": -1.0}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            fl.Experiment.parse({**EXPERIMENT, "faults": {"name": "battery", **wrong}})


def test_without_batteries_nobody_is_empty():
    values = {**EXPERIMENT, "rounds": 1, "meters": ["battery"]}
    (record,) = fl.run(fl.Experiment.parse(values)).records
    assert record.meters == {"empty_ues": 0.0}
