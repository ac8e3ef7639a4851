"""Manual aggregation: weights of the running average, the UEs that train, the output of the notes' test loop."""

import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from fl_simu.data.datasets import Mnist, Samples, presence
from fl_simu.studies.script import Setup, load, run_script

script = load("manual_aggregation")


@pytest.mark.parametrize("users", [1, 3, 5])
def test_the_weights_of_the_running_average_are_powers_of_two(users):
    expected = [2.0**-users] + [2.0 ** -(users - at) for at in range(users)]
    assert script.weights_of(users) == expected
    assert sum(expected) == 1


def test_combine_pro_is_the_sum_with_these_weights():
    models = [nn.Linear(3, 2) for _ in range(4)]
    before = [np.append(model.weight.detach().numpy(), model.bias.detach().numpy()) for model in models]
    script.combine_pro([SimpleNamespace(model=model) for model in models[1:]], models[0])
    after = np.append(models[0].weight.detach().numpy(), models[0].bias.detach().numpy())
    np.testing.assert_allclose(after, np.dot([1 / 8, 1 / 8, 1 / 4, 1 / 2], before), rtol=1e-6, atol=1e-7)


def test_the_notes_test_loop_prints_before_it_ends_and_divides_too_often():
    """For a model that is always right and has loss 1 per sample, the true loss is 1 and the accuracy 100 %."""
    log_probabilities = torch.full((10,), -20.0)
    log_probabilities[7] = -1.0

    class Always(nn.Module):
        def forward(self, x):
            return log_probabilities.expand(len(x), 10)

    size = 10_000
    test = Samples(torch.zeros(size, 1, 1, 1), torch.full((size,), 7, dtype=torch.int64))
    loss, accuracy, seen = script.notes_test(Always(), test)
    # Batches of 16, a line every 40 batches: the last line of 625 batches comes at number 600, after 601 batches.
    assert seen == 601 * 16 and accuracy == pytest.approx(0.9616)
    assert loss == pytest.approx(16 / size, rel=1e-2)


@pytest.mark.experiments
def test_the_users_of_the_notes_are_one_user(tmp_path):
    if not any(row.name == Mnist.name and row.present for row in presence()):
        pytest.skip("needs MNIST; FL_SIMU_DATA may say where it is")
    ours = {one.what: one.ours for one in run_script("manual_aggregation", Setup(True, tmp_path))[0]}
    assert ours["same batches: largest difference between two users"] == 0
    assert ours["user1: largest difference from plain torch"] == 0
    assert ours["user5: largest difference from the initial model"] == 0
    assert ours["own batches: largest difference between two users"] > 0
    same = {name: ours[f"same batches: test accuracy, {name} [%]"] for name in ("user1 alone", "combine", "mean")}
    assert len(set(same.values())) == 1 and same["mean"] > 40
    assert ours["same batches: test accuracy, initial model [%]"] < 20
    assert ours["own batches: test accuracy, mean [%]"] > same["mean"]
    assert ours["combine_pro: test accuracy as the notes print it [%]"] <= 65.6
    assert ours["combine_pro: test loss"] > 50 * ours["combine_pro: test loss as the notes print it"]
    assert sorted(os.listdir(str(tmp_path / "figures"))) == ["accuracy.png", "weights.png"]
