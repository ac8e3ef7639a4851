"""Results of experiments/adversarial_lens and poisoned_uplink on digits: success and cost of the attacks."""

from statistics import mean

import pytest
import scipy.stats

from fl_simu.experiment import Experiment
from fl_simu.loop.assemble import assemble
from fl_simu.loop.coordinator import Observer
from fl_simu.loop.plan import load_data, plan
from fl_simu.results.attack_measures import confidence, hit, ratio
from fl_simu.studies import catalogue, grid

# Several tests share one run.
pytestmark = pytest.mark.xdist_group("adversarial_lens")

# The quick size of adversarial_lens on scikit-learn's digits.
DIGITS = {"data": {"name": "digits", "scale": "unit"}, "training": {"epochs": 5, "batch_size": 20}, "rounds": 5}


class Kept(Observer):
    def __init__(self):
        self.records = []

    def aggregated(self, record, coordinator):
        self.records.append(record)


def run(level, **changes):
    """The records of the study's quick size on digits, at a level of its axis attack."""
    study = grid.read_study(catalogue.folders()["adversarial_lens"], quick=True)
    experiment = study.experiments[(level, "mean"), 1].to_plain()
    planned = plan(Experiment.parse({**experiment, **DIGITS, **changes}))
    kept = Kept()
    assemble(planned, load_data(planned, None), [kept]).run()
    planned.backend.close()
    return kept.records


@pytest.fixture(scope="module")
def benign():
    return run("no attack")


@pytest.fixture(scope="module")
def boosted():
    return run("boosting")


@pytest.mark.experiments
def test_boosting_gets_its_target_at_once_and_at_first_nothing_else(boosted, benign):
    assert confidence(boosted[0].attack) > 0.99
    assert benign[0].accuracy > 0.6
    # The predicted class is the target for any image.
    assert boosted[0].accuracy < 0.15


@pytest.mark.experiments
def test_alternating_minimisation_keeps_the_accuracy_and_is_harder_to_tell(boosted, benign):
    records = run("alternating minimisation")
    assert records[-1].accuracy > benign[-1].accuracy - 0.06
    far, farther = (mean(ratio(record.attack) for record in run) for run in (records, boosted))
    assert 1 < far < farther / 2


@pytest.mark.experiments
@pytest.mark.parametrize("rule", ["krum", "median"])
def test_robust_rules_keep_a_boosted_target_away(rule, benign):
    records = run("boosting", aggregation=rule)
    assert all(hit(record.attack) == 0 for record in records)
    assert records[-1].accuracy > benign[-1].accuracy - 0.06


@pytest.mark.experiments
def test_a_boosted_update_survives_two_bits():
    assert confidence(run("boosting", codec={"name": "affine", "base_bits": 2})[0].attack) > 0.99


def test_the_uplinks_deadline_drops_about_three_uploads_of_ten():
    """By the closed form: float32 of 89,610 parameters within 70 ms at |N(50, 16.67)| Mbit/s."""
    study = grid.read_study(catalogue.folders()["poisoned_uplink"], quick=True)
    planned = plan(study.experiments[("boosting", "float32, deadline"), 1])
    needed_mbps = 89_610 * 32 / 1e6 / (planned.experiment.protocol.deadline_s - planned.experiment.compute.seconds)
    rates = scipy.stats.norm(50, 16.67)
    assert rates.sf(needed_mbps) + rates.cdf(-needed_mbps) == pytest.approx(0.7, abs=0.02)
    planned.backend.close()
