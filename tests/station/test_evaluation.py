import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss
from torch import nn

from fl_simu.kernel.parameters import params_of
from fl_simu.models.base import cross_entropy
from fl_simu.results import evaluated
from fl_simu.station.evaluation import Exam, accuracies


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_accuracy_and_loss_are_scikit_learns(batch_size):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Dropout(0.5))
    images, labels = torch.randn(50, 1, 2, 2), torch.randint(0, 3, (50,))
    result = Exam(module, cross_entropy, images, labels, batch_size).evaluate(params_of(module))
    scores = torch.softmax(module.eval()(images), dim=1).detach().double().numpy()
    scores /= scores.sum(axis=1, keepdims=True)
    assert result.accuracy == accuracy_score(labels, np.argmax(scores, axis=1))
    assert result.loss == pytest.approx(log_loss(labels, scores, labels=[0, 1, 2]), rel=1e-5)
    wanted = confusion_matrix(labels, np.argmax(scores, axis=1), labels=[0, 1, 2, 3])
    assert evaluated.confusion_matrix(result.truth, result.predicted, 4).tolist() == wanted.tolist()


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_each_ue_has_the_accuracy_of_its_own_samples(batch_size):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Dropout(0.5))
    params, images, labels = params_of(module), torch.randn(50, 1, 2, 2), torch.randint(0, 3, (50,))
    parts = np.split(np.random.RandomState(1).permutation(50), [3, 20])
    found = accuracies(module, params, {}, images, labels, parts, batch_size)
    right, told = labels.numpy(), module.eval()(images).argmax(dim=1).numpy()
    assert found.tolist() == [accuracy_score(right[rows], told[rows]) for rows in parts]
    whole = Exam(module, cross_entropy, images, labels).evaluate(params).accuracy
    # In integer samples, so that nothing is rounded: the parts add up to the whole.
    hits = [share * len(rows) for share, rows in zip(found, parts)]
    assert [round(one) for one in hits] == pytest.approx(hits, abs=1e-9)
    assert sum(round(one) for one in hits) / 50 == whole


@pytest.mark.parametrize("ues", [[1], [0, 1, 2]])
def test_a_ue_with_a_model_of_its_own_is_measured_with_that(ues):
    torch.manual_seed(1)
    modules = [nn.Sequential(nn.Flatten(), nn.Linear(4, 3)) for _ in range(4)]
    images, labels = torch.randn(50, 1, 2, 2), torch.randint(0, 3, (50,))
    parts = np.split(np.random.RandomState(1).permutation(50), [13, 30])
    models = [params_of(module) for module in modules]
    own = {ue: models[ue] for ue in ues}
    found = accuracies(modules[3], models[3], own, images, labels, parts, 9)
    for ue, rows in enumerate(parts):
        weights = models[ue if ue in ues else 3]
        scores = images.numpy()[rows].reshape(len(rows), 4) @ weights["1.weight"].numpy().T
        told = np.argmax(scores + weights["1.bias"].numpy(), axis=1)
        assert found[ue] == accuracy_score(labels.numpy()[rows], told)
