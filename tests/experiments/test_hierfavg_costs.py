"""Results of experiments/papers/hierfavg_costs: times and energies of the paper's links and processors."""

import math

import pytest

from fl_simu.studies import script

# One step of a network with 5.9 million parameters.
pytestmark = pytest.mark.experiments


def test_an_upload_takes_what_shannons_formula_says():
    costs = script.load("hierfavg_costs")
    for name, parameters in (("MNIST", 21_840), ("CIFAR-10", 5_852_170)):
        told = costs.upload(*costs.NETS[name])
        took_s = 32 * parameters / (1e6 * math.log2(1 + 0.5 * 1e-8 / 1e-10))
        assert told.bits == 32 * parameters
        assert told.delays_s[-1] == pytest.approx(took_s, rel=1e-4)
        assert told.meters["transmit_energy_j"] == pytest.approx(0.5 * took_s, rel=1e-4)
        assert told.meters["compute_energy_j"] == pytest.approx(0.0024, rel=1e-9)
