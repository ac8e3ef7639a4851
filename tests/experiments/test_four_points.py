"""Four points: from the initial weights that the script finds, torch and syft print the notes' numbers."""

import numpy as np
import torch
from torch import nn, optim

from fl_simu.studies.script import Setup, load, run_script

script = load("four_points")
X = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1.0]])
Y = X[:, :1]


def model_from(start):
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor(start[None, :2]))
        model.bias.copy_(torch.tensor(start[2:]))
    return model


def printed(model, visits, optimizers):
    """The losses of visits (rows, optimiser) and the final parameters, with four digits as torch prints them."""
    values = []
    for rows, which in visits:
        optimizers[which].zero_grad()
        loss = ((model(X[rows]) - Y[rows]) ** 2).sum()
        loss.backward()
        optimizers[which].step()
        values.append(loss.item())
    values += [*model.weight[0].tolist(), *model.bias.tolist()]
    return " ".join(f"{value:.4f}" for value in values)


def test_central_prints_the_notes_numbers():
    start = script.recover(script.simulate_central, script.CENTRAL)
    model = model_from(start)
    sgd = optim.SGD(model.parameters(), lr=0.1)
    assert printed(model, [(slice(0, 4), 0)] * 20, [sgd]) == " ".join(script.CENTRAL.split())


def test_federated_prints_the_notes_numbers_with_an_adam_for_each_worker():
    start = script.recover(script.simulate_federated, script.FEDERATED)
    model = model_from(start)
    adams = [optim.Adam(model.parameters(), lr=0.1) for _ in range(2)]
    visits = [(slice(0, 2), 0), (slice(2, 4), 1)] * 20
    notes = " ".join(script.FEDERATED.split())
    assert printed(model, visits, adams) == notes
    # One Adam for both would be a different experiment.
    model = model_from(start)
    shared = printed(model, visits, [optim.Adam(model.parameters(), lr=0.1)] * 2).split()
    assert shared[0] == notes.split()[0] and np.mean([one == two for one, two in zip(shared, notes.split())]) < 0.2


def test_the_losses_of_sgd_have_a_mirror_image():
    """The fastest decaying component enters the losses squared and vanishes, so two starts print the same."""
    start = script.recover(script.simulate_central, script.CENTRAL)
    hessian = script.X.T @ script.X
    direction = np.linalg.eigh(hessian)[1][:, -1]
    best = np.array([1.0, 0.0, 0.0])
    mirror = start - 2 * direction * (direction @ (start - best))
    np.testing.assert_allclose(script.simulate_central(mirror), script.simulate_central(start), atol=1e-9)
    assert np.abs(start).max() < 1 / np.sqrt(2) < np.abs(mirror).max(), "nn.Linear(2, 1) draws within 1 / sqrt(2)"


def test_the_parallel_form_is_the_closed_form():
    """Five steps of SGD are an affine map, and so is the mean of two of them."""
    start = np.array([0.3, -0.2, -0.4])
    losses, final = script.train_parallel_plainly(script.linear(start))
    best, maps = np.array([1.0, 0.0, 0.0]), []
    for rows in (slice(0, 2), slice(2, 4)):
        x = script.X[rows]
        maps.append(np.linalg.matrix_power(np.eye(3) - 0.2 * x.T @ x, 5))
    mean = np.linalg.matrix_power((maps[0] + maps[1]) / 2, 10)
    np.testing.assert_allclose(final, best + mean @ (start - best), atol=1e-6)
    assert len(losses) == 20


def test_syft_prints_every_number_of_the_notes(tmp_path):
    comparisons = run_script("four_points", Setup(True, tmp_path))[0]
    of_notes = [one.verdict for one in comparisons if one.notes is not None]
    assert of_notes == ["agrees"] * (20 + 40 + 6)
    (worst,) = [one.ours for one in comparisons if "difference from plain torch" in one.what]
    assert worst == 0.0
