"""Early stopping of a run, and the rounds in which the model is evaluated."""

import math

import numpy as np
import pytest

import fl_simu as fl
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.randomness import permutation, stream
from fl_simu.loop.plan import plan

BASE = {
    **{"rounds": 8, "ues": 3, "seed": 2, "backend": "torch", "model": "logistic_regression"},
    "data": {"name": "digits", "train_samples": 300, "test_samples": 100},
    "optimizer": {"name": "sgd", "lr": 0.05},
    "channel": {"name": "constant", "rate_mbps": 1.0},
    "meters": ["energy"],
}


def run(folder=None, **changes):
    return fl.run(fl.Experiment.parse({**BASE, **changes}), folder)


@pytest.fixture(scope="module")
def whole():
    return run()


def test_a_run_ends_with_the_first_round_that_has_come_to_a_limit(whole):
    records = whole.records
    joule = sum(record.meters["energy_j"] for record in records[:3])
    limits = {
        "accuracy": (records[4].accuracy, next(r.round for r in records if r.accuracy >= records[4].accuracy)),
        "time_s": (records[2].time_s, 3),
        "uplink_bits": (1.5 * records[0].uplink_bits, 2),
        "energy_j": (joule * 0.999, 3),
    }
    for name, (limit, rounds) in limits.items():
        found = run(stop={name: limit})
        assert [one.accuracy for one in found.records] == [one.accuracy for one in records[:rounds]], name
    assert len(run(stop={"time_s": 1e6}).records) == 8


def test_a_run_that_has_come_to_its_limit_stays_where_it_is(tmp_path):
    ended = run(tmp_path / "run", stop={"uplink_bits": 1.0}, checkpoint={"every": 5})
    told = []
    again = fl.resume(tmp_path / "run", say=told.append)
    assert told == ["resuming after round 1"]
    assert len(ended.records) == len(again.records) == 1
    assert again.summary.model_sha256 == ended.summary.model_sha256


def test_only_some_rounds_are_evaluated_the_last_one_always(whole):
    found = run(evaluation={"every": 3})
    assert [not math.isnan(one.accuracy) for one in found.records] == [
        False,
        False,
        True,
        False,
        False,
        True,
        False,
        True,
    ]
    assert found.summary.model_sha256 == whole.summary.model_sha256
    assert found.summary.final_accuracy == whole.summary.final_accuracy
    cut = run(evaluation={"every": 3}, stop={"time_s": whole.records[3].time_s})
    assert len(cut.records) == 4 and cut.records[-1].accuracy == whole.records[3].accuracy


def test_a_sample_of_the_test_set_is_drawn_once_and_is_no_run_of_it(whole):
    some, more = run(evaluation={"samples": 50}), run(evaluation={"samples": 100})
    assert [one.accuracy for one in more.records] == [one.accuracy for one in whole.records]
    assert all((50 * one.accuracy) % 1 == pytest.approx(0, abs=1e-9) for one in some.records)
    assert [one.accuracy for one in some.records] != [one.accuracy for one in whole.records]
    assert some.summary.model_sha256 == whole.summary.model_sha256


def test_the_confusion_matrix_is_that_of_the_last_accuracy(tmp_path):
    found = run(tmp_path / "run", evaluation={"samples": 50, "every": 3})
    matrix = found.evaluated.confusion
    assert matrix.shape == (10, 10) and np.trace(matrix) / matrix.sum() == found.records[-1].accuracy
    test = found.experiment.data.load(None).test
    rows = permutation(stream(2, "evaluation"), 100)[:50]
    assert matrix.sum(axis=1).tolist() == np.bincount(test.labels.numpy()[rows], minlength=10).tolist()
    module = found.experiment.model.build(found.experiment.data.shape, 10)
    module.load_state_dict(found.model)
    told = module.eval()(test.images).argmax(dim=1).numpy()[rows]
    assert matrix.sum(axis=0).tolist() == np.bincount(told, minlength=10).tolist()
    written = (tmp_path / "run" / "confusion.csv").read_text().splitlines()
    assert written[0] == "true_class,0,1,2,3,4,5,6,7,8,9"
    assert [[int(cell) for cell in line.split(",")[1:]] for line in written[1:]] == matrix.tolist()


def test_what_the_last_evaluation_tells_is_there_after_a_kill_at_the_very_end(tmp_path):
    class Killer(fl.Observer):
        def aggregated(self, record, coordinator):
            if coordinator.over:
                raise KeyboardInterrupt

    changes = {"rounds": 3, "meters": ["fairness"]}
    whole = run(tmp_path / "whole", **changes)
    with pytest.raises(KeyboardInterrupt):
        fl.run(fl.Experiment.parse({**BASE, **changes}), tmp_path / "run", [Killer()])
    fl.resume(tmp_path / "run")
    for name in ("confusion.csv", "ue_accuracy.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert run(**changes).evaluated.confusion.tolist() == whole.evaluated.confusion.tolist()


def test_a_run_that_is_stopped_before_its_last_evaluation_tells_nothing_of_it():
    class Stopper(fl.Observer):
        def aggregated(self, record, coordinator):
            coordinator.stop()

    found = fl.run(fl.Experiment.parse({**BASE, "evaluation": {"every": 3}}), observers=[Stopper()])
    assert len(found.records) == 1 and found.evaluated == (None, None)


def test_a_device_that_is_not_here_is_refused_before_data_are_read():
    experiment = fl.Experiment.parse({**BASE, "evaluation": {"device": "cuda:999"}})
    with pytest.raises(
        UserError, match=r"evaluation\.device = 'cuda:999' is not allowed: torch .* finds \d+ GPUs"
    ):
        plan(experiment)


@pytest.mark.parametrize(
    "changes, said",
    [
        (
            {"evaluation": {"samples": 101}},
            r"evaluation\.samples = 101 is not allowed: at most the 100",
        ),
        ({"evaluation": {"every": 0}}, r"evaluation\.every = 0"),
        ({"evaluation": {"device": "gpu"}}, r"evaluation\.device = 'gpu' is not allowed: .cpu., .cuda. or"),
        ({"stop": {"accuracy": 1.5}}, r"stop\.accuracy = 1\.5"),
        (
            {"stop": {"energy_j": 1.0}, "meters": []},
            r"stop\.energy_j = 1\.0 is not allowed: not without",
        ),
        ({"stop": {"bits": 1.0}}, r"stop\.bits is no known key"),
    ],
)
def test_mistakes_are_one_line(changes, said):
    with pytest.raises(UserError, match=said) as refusal:
        run(**changes)
    assert "\n" not in str(refusal.value)
