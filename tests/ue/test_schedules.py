"""Schedules of the learning rate, compared with torch's, and their use by the UEs."""

from functools import partial

import pytest
import torch

import fl_simu as fl
from fl_simu.backends.syft_workers import Syft
from fl_simu.backends.torch_loop import Torch
from fl_simu.backends.vectorized import Vectorized
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.parameters import distance, params_of
from fl_simu.models import Mlp
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.schedules import Constant, Cosine, Exponential, Inverse, Steps
from fl_simu.ue.training import Key, LocalTraining, Shard, Task, Trained

TORCHS = {
    Constant(): lambda optimizer: torch.optim.lr_scheduler.LambdaLR(optimizer, lambda round: 1.0),
    Steps(every=3, gamma=0.5): lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 3, 0.5),
    Exponential(gamma=0.9): lambda optimizer: torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
    Inverse(decay=0.3): lambda optimizer: torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda round: 1 / (1 + 0.3 * round)
    ),
    Cosine(rounds=12, least=0.1): lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, 12, eta_min=0.1 * 0.2
    ),
}
PARAMETER = torch.nn.Parameter(torch.zeros(1))


@pytest.mark.parametrize("schedule", TORCHS, ids=repr)
def test_a_schedule_is_torchs_with_a_round_for_an_epoch(schedule):
    optimizer = torch.optim.SGD([PARAMETER], lr=0.2)
    theirs = TORCHS[schedule](optimizer)
    for round in range(12):
        assert 0.2 * schedule.factor(round) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), round
        optimizer.step()
        theirs.step()


def test_a_cosine_stays_at_its_least_after_its_last_round():
    assert [Cosine(rounds=4, least=0.25).factor(round) for round in (4, 5, 8)] == [0.25] * 3


SHAPE, SAMPLES = (1, 4, 4), 20
SPECS = {"torch": Torch(exact=True), "syft": Syft(), **({"vectorized": Vectorized()} if MODERN else {})}


# With syft, the optimiser object itself stays from round to round.
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_each_round_has_the_learning_rate_of_its_number(spec):
    """One optimiser with momentum, whose rate is set by hand: 0.4, 0.2, 0.1."""
    generator = torch.Generator().manual_seed(1)
    images, labels = torch.randn(SAMPLES, *SHAPE, generator=generator), torch.arange(SAMPLES) % 3
    local = LocalTraining(
        partial(Mlp((6,)).build, SHAPE, 3),
        torch.nn.functional.cross_entropy,
        Sgd(lr=0.4, momentum=0.5),
        batch_size=8,
        keep_optimizer_state=True,
        schedule=Exponential(gamma=0.5),
        shape=SHAPE,
    )
    backend = spec.build(local)
    backend.place(0, Shard(images, labels, torch.arange(SAMPLES)))
    module = local.make_module()
    by_hand = torch.optim.SGD(module.parameters(), lr=0.4, momentum=0.5)
    found = Trained(params_of(module), {})
    for round, lr in enumerate((0.4, 0.2, 0.1)):
        backend.train([Task(Key(1, 0, round), found.params, found.memory)])
        found = backend.get(0)
        by_hand.param_groups[0]["lr"] = lr
        for rows in local.orders(Key(1, 0, round), SAMPLES):
            by_hand.zero_grad()
            outputs = module(images.index_select(0, rows))
            torch.nn.functional.cross_entropy(outputs, labels.index_select(0, rows)).backward()
            by_hand.step()
    backend.close()
    assert distance(found.params, params_of(module)) < 1e-5


def test_a_run_with_a_schedule_is_resumed_to_the_same_model(tmp_path):
    values = {
        **{"rounds": 4, "ues": 3, "backend": "torch", "model": "logistic_regression"},
        "data": {"name": "digits", "train_samples": 60, "test_samples": 20},
        "schedule": {"name": "cosine", "rounds": 6},
    }
    whole = fl.run(fl.Experiment.parse(values))
    fl.run(fl.Experiment.parse({**values, "rounds": 2}), tmp_path / "run")
    assert fl.resume(tmp_path / "run", rounds=4).summary.model_sha256 == whole.summary.model_sha256
    constant = fl.run(fl.Experiment.parse({**values, "schedule": "constant"}))
    assert constant.summary.model_sha256 != whole.summary.model_sha256
