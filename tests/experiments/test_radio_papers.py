"""Foundations of the studies of papers on radio resources: arrivals at a threshold, the cost of a round."""

import math

import pytest

import fl_simu as fl
from fl_simu.studies import catalogue, grid, script

pytestmark = pytest.mark.experiments


def test_in_scheduling_an_upload_arrives_as_often_as_its_sinr_is_above_the_threshold():
    study = grid.read_study(catalogue.folders()["scheduling"])
    plain = study.experiments[("10 UEs, 0 dB", "random"), 1].to_plain()
    channel = {**plain["channel"], "exponent": 4.0, "noise_dbm_hz": -300.0, "shares": 15}
    changes = {
        "data": "digits", "partition": "iid", "ues": 300, "ues_per_round": 15, "rounds": 40, "channel": channel,
        "evaluation": {"every": 40}, "meters": [],
    }  # fmt: skip
    outcomes = [one for record in fl.run(fl.Experiment.parse({**plain, **changes})).records for one in record.ues]
    # P(sir > t) = exp(-a r^2) with a = pi^2 lambda sqrt(t) / 2, over a disc of 500 m, at t = 1 and 1 BS per km^2.
    exponent = math.pi**2 / 2 * 0.25
    wanted = (1 - math.exp(-exponent)) / exponent
    assert sum(one.accepted == "full" for one in outcomes) / len(outcomes) == pytest.approx(wanted, abs=0.08)
    assert {one.reason for one in outcomes} == {"", "late"}


def test_in_energy_delay_a_round_takes_its_time_and_training_costs_what_the_frequency_says():
    study = script.load("energy_delay")
    spent = study.spent(1, [0.6], [0.3])
    assert [time_s for time_s, _ in spent.values()] == pytest.approx([0.6, 0.6])
    best, equal = (spent[slots, 0.6, 0.3][1] for slots in ("best", "equal"))
    frequency_hz = 125e3 * 140 * 5 / 0.18
    training = 10 * 1e-28 * 125e3 * 140 * 5 * frequency_hz**2
    assert training < best < equal
    for slots, energy_j in (("tdma_energy", best), ("equal_slots", equal)):
        medium = {"name": slots, "time_s": 0.42, "bandwidth_mhz": 1.0, "power_w": 1.0}
        _, whole, sending = study.run(1, {"compute": study.processor(frequency_hz), "medium": medium})
        assert whole - sending == pytest.approx(training) and whole == energy_j
    # A late split does not count.
    late = {("best", 0.3, 0.1): (0.3, 2.0), ("best", 0.3, 0.5): (0.3, 1.0), ("best", 0.3, 0.9): (0.31, 0.5)}
    assert study.least(1, late, "best", 0.3) == 1.0
