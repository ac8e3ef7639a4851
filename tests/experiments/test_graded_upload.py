"""Results of the two studies of graded upload, on a few runs of their quick sizes."""

import os
from statistics import mean

import pytest

from fl_simu.loop.assemble import assemble
from fl_simu.loop.coordinator import Observer
from fl_simu.loop.plan import load_data, plan
from fl_simu.studies import catalogue, grid

pytestmark = [
    pytest.mark.experiments,
    pytest.mark.skipif(not os.environ.get("FL_SIMU_DATA"), reason="FL_SIMU_DATA names no folder"),
]


class Records(list, Observer):
    def aggregated(self, record, coordinator):
        self.append(record)


def runs(name, *levels):
    """The records of the quick size for each combination of levels, with the first seed."""
    study = grid.read_study(catalogue.folders()[name], quick=True)
    found, data = [], None
    for one in levels:
        planned = plan(study.experiments[one, study.seeds[0]])
        data = data or load_data(planned)
        records = Records()
        assemble(planned, data, [records]).run()
        found.append(records)
    return found


def accepted(records, kind):
    return [outcome.accepted for record in records for outcome in record.ues].count(kind)


def test_two_and_two_bits_beat_two_and_the_enhancement_is_not_what_does_it():
    whole, two, graded, base = runs(
        "graded_upload",
        ("iid", "good", "float32"),
        ("iid", "good", "2 bits"),
        ("iid", "good", "2 + 2 bits"),
        ("iid", "good", "base of 2 + 2"),
    )
    # No unquantised upload arrives in time, so the model never moves.
    assert accepted(whole, "none") == 15 * 16 and len({record.loss for record in whole}) == 1
    assert accepted(graded, "full") > 15 * 16 / 2 and accepted(base, "full") == 0 < accepted(base, "base")
    accuracies = {
        name: mean(record.accuracy for record in records[-5:])
        for name, records in (("two", two), ("graded", graded), ("base", base))
    }
    assert accuracies["graded"] > accuracies["two"] + 0.02
    assert abs(accuracies["graded"] - accuracies["base"]) < 0.02


def test_what_the_notes_averaging_loses_is_lost_by_the_division_and_not_by_the_channel():
    scene = "bad, 4 + 4 bits"
    notes, mended = runs(
        "graded_upload_cifar10", ("iid", "the notes'", scene), ("iid", "their rates, plain mean", scene)
    )
    # The same uploads arrive; only the divisor differs.
    assert [record.ues for record in notes] == [record.ues for record in mended]
    assert 0 < accepted(notes, "none") < 6 * 16
    # Weights shrink to a/d of their mean each round: the network ends at its output for a zero input.
    assert notes[-1].accuracy < 0.12 < mended[-1].accuracy - 0.03
    assert notes[-1].loss > mended[-1].loss + 0.3
