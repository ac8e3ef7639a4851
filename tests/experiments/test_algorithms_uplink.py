"""Results of experiments/algorithms on digits: the cost of each algorithm on the air, and its benefit."""

from functools import lru_cache
from statistics import mean

import pytest

import fl_simu as fl
from fl_simu.studies import catalogue, grid

# Several tests share one run.
pytestmark = [pytest.mark.experiments, pytest.mark.xdist_group("algorithms")]

# A little over forty samples per UE, five batches of ten per epoch.
ROUNDS = 30
DIGITS = {
    "data": {"name": "digits"},
    "training": {"epochs": 1, "batch_size": 10},
    "rounds": ROUNDS,
    "evaluation": {"every": 1},
}
# Numbers of parameters of the model and of its last layer.
PARAMETERS, LAST = 784 * 64 + 64 + 64 * 10 + 10, 64 * 10 + 10


@lru_cache(maxsize=None)
def run(data, algorithm):
    study = grid.read_study(catalogue.folders()["algorithms"], quick=True)
    experiment = study.experiments[(data, algorithm), 1].to_plain()
    return fl.run(fl.Experiment.parse({**experiment, **DIGITS}))


def late(run):
    """Mean accuracy over the last third of the rounds."""
    return mean(record.accuracy for record in run.records[-ROUNDS // 3 :])


def own(run):
    return run.records[-1].meters["ue_accuracy_mean"]


def test_scaffold_pays_twice_and_what_stays_is_not_paid():
    plain, twice, less = (run("two classes each", name) for name in ("fedavg", "scaffold", "last layer stays"))
    assert plain.summary.uplink_bits == ROUNDS * 10 * PARAMETERS * 32
    assert twice.summary.uplink_bits == 2 * plain.summary.uplink_bits
    assert plain.summary.uplink_bits - less.summary.uplink_bits == ROUNDS * 10 * LAST * 32


@pytest.mark.parametrize("algorithm", ["scaffold", "feddyn"])
def test_what_corrects_drift_is_better_where_ues_are_unlike(algorithm):
    assert late(run("two classes each", algorithm)) > late(run("two classes each", "fedavg")) + 0.01


def test_feddyn_gets_there_with_fewer_bits_than_scaffold():
    found = {}
    for name in ("scaffold", "feddyn"):
        records = run("two classes each", name).records
        first = next(record.round for record in records if record.accuracy >= 0.9)
        found[name] = sum(record.uplink_bits for record in records[:first])
    assert found["feddyn"] < found["scaffold"]


@pytest.mark.parametrize("algorithm", ["ditto", "last layer stays"])
def test_models_of_their_own_serve_unlike_ues_better_than_a_global_one(algorithm):
    assert own(run("two classes each", algorithm)) > own(run("two classes each", "fedavg")) + 0.02


def test_a_last_layer_of_ones_own_knows_ones_own_classes_only():
    """Two or three of ten classes."""
    assert run("two classes each", "last layer stays").records[-1].accuracy < 0.35
