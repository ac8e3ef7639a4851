"""Synthetic(alpha, beta), compared with the distributions of the paper."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import fl_simu as fl
from fl_simu.data.synthetic import Synthetic


def rows_of(dataset, ue):
    own = (dataset.train.ues == ue).numpy()
    return dataset.train.images.view(-1, 60).numpy()[own].astype(float), dataset.train.labels.numpy()[own]


@pytest.fixture(scope="module")
def many():
    return Synthetic(ues=400, alpha=0.5, beta=2.0).load()


def test_numbers_of_samples_are_50_and_log_normal(many):
    """The logarithm of the rest has mean 4 and standard deviation 2; bounds are five standard errors."""
    sizes = np.bincount(many.train.ues.numpy())
    logs = np.log(sizes / 0.9 - 50 + 0.5)
    assert sizes.min() >= 45 and len(sizes) == 400
    assert abs(np.median(logs) - 4) < 5 * 1.2533 * 2 / 20
    between = np.mean((logs > 2) & (logs < 6))
    assert abs(between - 0.6827) < 5 * np.sqrt(0.6827 * 0.3173 / 400)
    assert len(many.test) == pytest.approx(sizes.sum() / 9, rel=0.02)


def test_samples_have_the_papers_mean_and_covariance(many):
    largest = int(np.bincount(many.train.ues.numpy()).argmax())
    x, _ = rows_of(many, largest)
    assert np.cov(x.T) == pytest.approx(np.diag(np.arange(1, 61) ** -1.2), abs=6 / np.sqrt(len(x)))
    # The mean of a UE's 60 means is B_k within 1 / sqrt(60), and has standard deviation 2 over UEs.
    centres = [rows_of(many, ue)[0].mean() for ue in range(400)]
    assert np.std(centres) == pytest.approx(np.sqrt(4 + 1 / 60), rel=5 / np.sqrt(800))
    assert abs(np.mean(centres)) < 5 * 2 / 20


def test_a_linear_map_tells_the_labels_of_its_ue_and_not_those_of_others():
    dataset = Synthetic(ues=12, alpha=1.0, beta=1.0, seed=3).load()
    own, others = [], []
    data = [rows_of(dataset, ue) for ue in range(12)]
    for ue, (x, labels) in enumerate(data):
        if len(np.unique(labels)) > 1:
            fitted = LogisticRegression(C=100.0, max_iter=500).fit(x, labels)
            own.append(fitted.score(x, labels))
            others += [fitted.score(*data[other]) for other in range(12) if other != ue]
    assert min(own) > 0.97
    assert np.mean(others) < 0.4


def test_each_ue_trains_on_its_own():
    values = {
        **{"rounds": 1, "ues": 5, "model": "logistic_regression", "backend": "torch", "partition": "by_ue"},
        "data": {"name": "synthetic", "ues": 5},
    }
    run = fl.run(fl.Experiment.parse(values))
    assert run.summary.final_accuracy > 0.1
    other = fl.run(fl.Experiment.parse({**values, "data": {"name": "synthetic", "ues": 5, "seed": 1}}))
    assert run.summary.model_sha256 != other.summary.model_sha256
    with pytest.raises(fl.UserError, match=r"ues = 4 .* 5, as many as the data have parts"):
        fl.run(fl.Experiment.parse({**values, "ues": 4}))
