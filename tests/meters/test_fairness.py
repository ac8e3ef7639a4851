"""The spread of accuracy over UEs."""

import math
from html import escape

import numpy as np
import pytest

import fl_simu as fl
from fl_simu.cli.app import main
from fl_simu.kernel.randomness import stream
from fl_simu.meters.base import ModelView
from fl_simu.meters.fairness import Fairness
from fl_simu.meters.participation import Participation
from fl_simu.results.closing_table import closing_table


def spread(*accuracies):
    return Fairness().model(ModelView(lambda: np.array(accuracies)))


def test_the_spread_is_that_of_the_closed_forms():
    """k of n UEs with the same accuracy and the others with 0 have an index of k / n."""
    assert spread(0.7, 0.7, 0.0, 0.0)["ue_accuracy_jain"] == pytest.approx(0.5)
    assert spread(0.0, 0.0)["ue_accuracy_jain"] == spread(0.5, 0.5)["ue_accuracy_jain"] == 1.0
    told = spread(*(one / 20 for one in range(21)))
    assert told["ue_accuracy_min"] == 0.0
    assert told["ue_accuracy_p10"] == pytest.approx(0.1)
    # Uniform over 21 points, 1/20 apart: (21^2 - 1) / 12 of their squared distance.
    assert told["ue_accuracy_variance"] == pytest.approx((21**2 - 1) / 12 / 400)


def test_a_run_tells_it_in_the_rounds_that_are_evaluated(tmp_path):
    experiment = fl.Experiment.parse(
        {
            **{"rounds": 4, "ues": 3, "seed": 5, "backend": "torch", "model": "logistic_regression"},
            "data": {"name": "digits", "train_samples": 200, "test_samples": 30},
            "partition": {"name": "dirichlet", "alpha": 0.3},
            "meters": ["energy", "fairness"],
            "evaluation": {"every": 3},
        }
    )
    run = fl.run(experiment, tmp_path / "run")
    told = [record.meters.get("ue_accuracy_min", math.nan) for record in run.records]
    assert [math.isnan(one) for one in told] == [True, True, False, False]
    train = experiment.data.load(None).train
    parts = experiment.partition.deal(train.labels.numpy(), None, 3, stream(5, "partition"))
    module = experiment.model.build(experiment.data.shape, experiment.data.classes)
    module.load_state_dict(run.model)
    right = (module.eval()(train.images).argmax(dim=1) == train.labels).numpy()
    own = [right[rows].mean() for rows in parts]
    assert told[-1] == min(own)
    facts = run.summary.facts["meters"]
    assert facts["ue_accuracy_variance"]["value"] == pytest.approx(np.var(own))
    assert facts["ue_accuracy_jain"]["value"] == pytest.approx(sum(own) ** 2 / 3 / sum(one**2 for one in own))
    assert "ue_accuracy_p10" in closing_table(run.summary)
    assert fl.load(tmp_path / "run").records == run.records
    lines = (tmp_path / "run" / "ue_accuracy.csv").read_text().splitlines()
    assert lines[0] == "ue,samples,accuracy" and [line.split(",")[0] for line in lines[1:]] == ["0", "1", "2"]
    assert [float(line.split(",")[2]) for line in lines[1:]] == own == run.evaluated.ues.accuracies.tolist()
    # The parts make up the training set, so the UEs' correct samples add up to the model's on all of it.
    hits = [int(line.split(",")[1]) * share for line, share in zip(lines[1:], own)]
    assert sum(round(one) for one in hits) / len(right) == right.mean()


@pytest.mark.figures
def test_a_run_draws_the_spread_and_a_report_shows_it(tmp_path):
    experiment = fl.Experiment.parse(
        {
            **{"rounds": 3, "ues": 4, "seed": 5, "backend": "torch", "model": "logistic_regression"},
            "data": {"name": "digits", "train_samples": 200, "test_samples": 30},
            "meters": ["fairness", "participation"],
        }
    )
    fl.run(experiment, tmp_path / "run")
    fl.run(experiment, tmp_path / "again")
    for name in ("accuracy-on-own-samples.png", "ue-accuracy.png"):
        drawn = [(tmp_path / run / "figures" / name).read_bytes() for run in ("run", "again")]
        assert drawn[0] == drawn[1]
    page = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "run"), "--out", str(page)]) == 0
    text = page.read_text()
    for column in (*Fairness().columns.values(), *Participation().columns.values()):
        assert f'<th scope="row">{escape(column.heading)}</th>' in text
    assert ">predicted 9</th>" in text and 'alt="ue accuracy of run"' in text
    damaged = tmp_path / "run" / "confusion.csv"
    damaged.write_text(damaged.read_text().replace("\n3,", "\n4,"))
    assert main(["report", str(tmp_path / "run"), "--out", str(page)]) == 2
