"""Results of experiments/radio on digits: client selection, sharing of the band, savings of a base layer."""

from functools import lru_cache

import pytest

import fl_simu as fl
from fl_simu.studies import catalogue, grid

# Several tests share one run.
pytestmark = [pytest.mark.experiments, pytest.mark.xdist_group("radio")]

DIGITS = {"data": {"name": "digits"}, "evaluation": {"every": 2}, "training": {"epochs": 2, "batch_size": 10}}


@lru_cache(maxsize=None)
def records(upload, allocation, selection):
    study = grid.read_study(catalogue.folders()["radio"], quick=True)
    experiment = study.experiments[(upload, allocation, selection), 1].to_plain()
    return fl.run(fl.Experiment.parse({**experiment, **DIGITS})).records


def share(kind, *levels):
    """The share of uploads."""
    found = [outcome.accepted for record in records(*levels) for outcome in record.ues]
    return found.count(kind) / len(found)


def energy_j(*levels, name="energy_j"):
    return sum(record.meters[name] for record in records(*levels))


def test_with_a_base_layer_fewer_uploads_bring_nothing_and_base_first_brings_fewest():
    for selection in ("random", "proportional fair"):
        whole, graded, first = (
            share("none", *levels, selection)
            for levels in (("whole", "equal"), ("4 + 4 bits", "equal"), ("4 + 4 bits", "base first"))
        )
        assert whole > graded + 0.05
        assert first <= graded
        # Base first loses enhancements in return.
        assert share("full", "4 + 4 bits", "base first", selection) < share(
            "full", "4 + 4 bits", "equal", selection
        )


def test_where_there_is_a_deadline_to_finish_together_is_to_be_late_together():
    assert share("none", "whole", "min-max delay", "random") > share("none", "whole", "equal", "random") + 0.15


def test_one_at_a_time_costs_less_than_half_of_the_energy():
    assert energy_j("whole", "one at a time", "random") < energy_j("whole", "equal", "random") / 2


def test_the_best_channels_are_fast_and_cheap_and_always_the_same():
    best, random, fair = (("whole", "equal", name) for name in ("best channel", "random", "proportional fair"))
    assert records(*best)[-1].time_s < records(*random)[-1].time_s / 2
    assert energy_j(*best) < energy_j(*random) * 0.6
    jain = [records(*one)[-1].meters["participation_jain"] for one in (best, random, fair)]
    assert jain[0] < 0.4 and jain[1] > 0.6 and jain[2] > jain[1]
    assert records(*fair)[-1].accuracy > records(*best)[-1].accuracy


def test_age_asks_again_and_again_for_those_who_never_arrive():
    wasted = energy_j("whole", "equal", "age", name="wasted_energy_j")
    assert wasted > energy_j("whole", "equal", "age") / 2
    assert wasted > 2 * energy_j("whole", "equal", "random", name="wasted_energy_j")
