"""Results of experiments/privacy_uplink on digits: the cost of noise and masks; few bits add no cost."""

import math
from functools import lru_cache

import pytest
import scipy.optimize
import scipy.stats

import fl_simu as fl
from fl_simu.studies import catalogue, grid

# Several tests share one run.
pytestmark = [pytest.mark.experiments, pytest.mark.xdist_group("privacy_uplink")]

DIGITS = {"data": {"name": "digits"}, "training": {"epochs": 3, "batch_size": 10}, "rounds": 10}
PARAMETERS, UES, ROUNDS = 784 * 10 + 10, 100, 10


@lru_cache(maxsize=None)
def run(protection, bits):
    study = grid.read_study(catalogue.folders()["privacy_uplink"], quick=True)
    experiment = study.experiments[(protection, bits), 1].to_plain()
    return fl.run(fl.Experiment.parse({**experiment, **DIGITS}))


def accuracy(protection, bits="6 bits"):
    return run(protection, bits).records[-1].accuracy


def test_masks_change_no_accuracy_and_cost_keys_shares_and_seven_bits_a_number():
    assert accuracy("masks") == pytest.approx(accuracy("none"), abs=0.005)
    more = 7 * 8 * -(-PARAMETERS // 8) + 2 * 256 + (3 * UES - 2) * 256
    bits = [run(name, "6 bits").summary.uplink_bits for name in ("none", "masks")]
    assert bits[1] - bits[0] == ROUNDS * UES * more


def test_noise_of_all_under_masks_is_as_good_as_that_of_a_trusted_bs_and_noise_of_each_is_not():
    trusted, together, alone = map(accuracy, ("noise at the BS", "noise at the UEs, masks", "noise at each UE"))
    assert together == pytest.approx(trusted, abs=0.06)
    assert alone < trusted - 0.2


def test_six_bits_of_noisy_updates_are_as_good_as_sixteen():
    for protection in ("noise at the BS", "noise at the UEs, masks"):
        assert accuracy(protection) == pytest.approx(accuracy(protection, "16 bits"), abs=0.03)


def test_epsilon_is_that_of_one_gaussian_of_all_rounds():
    """T rounds with z equal one with mu = sqrt(T) / z: delta = Phi(mu/2 - eps/mu) - e^eps Phi(-mu/2 - eps/mu)."""
    mu, delta, phi = math.sqrt(ROUNDS) / 2.0, 1e-3, scipy.stats.norm.cdf

    def excess(epsilon):
        return phi(mu / 2 - epsilon / mu) - math.exp(epsilon) * phi(-mu / 2 - epsilon / mu) - delta

    wanted = scipy.optimize.brentq(excess, 0.0, 50.0)
    for protection in ("noise at the BS", "noise at the UEs, masks", "noise at each UE"):
        assert run(protection, "6 bits").records[-1].meters["epsilon"] == pytest.approx(wanted, rel=1e-6)
