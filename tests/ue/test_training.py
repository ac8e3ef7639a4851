import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from fl_simu.kernel.errors import BadField
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.parameters import params_of
from fl_simu.ue.compute import ConstantCompute, ParetoCompute, UniformCompute
from fl_simu.ue.models import LeNet, LogisticRegression, MnistCnn
from fl_simu.ue.optimizers import OPTIMIZERS, Sgd
from fl_simu.ue.training import Key, LocalTraining


def local_training(**options):
    model = LogisticRegression()
    return LocalTraining(lambda: model.build((1, 2, 2), 3), model.loss, Sgd(), **options)


def test_every_epoch_sees_every_sample_once():
    batches = local_training(epochs=3, batch_size=4).orders(Key(1, 2, 3), 10)
    assert [len(batch) for batch in batches] == [4, 4, 2] * 3
    epochs = [torch.cat(batches[start : start + 3]).tolist() for start in (0, 3, 6)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 3
    assert epochs[0] != epochs[1]


def test_the_order_belongs_to_the_ue_and_the_round():
    local = local_training(batch_size=100)
    orders = {key: local.orders(Key(*key), 20)[0].tolist() for key in [(1, 0, 0), (1, 1, 0), (1, 0, 1), (2, 0, 0)]}
    assert len({tuple(order) for order in orders.values()}) == 4
    assert local.orders(Key(1, 0, 0), 20)[0].tolist() == orders[(1, 0, 0)]


def test_many_ues_are_shuffled_at_once_as_each_is_by_itself():
    local, keys, samples = (
        local_training(epochs=2, batch_size=4),
        [Key(1, ue, 3) for ue in range(3)],
        np.array([10, 1, 7]),
    )
    shuffles = local.shuffles(keys, samples)
    for ue, count in enumerate(samples):
        alone = torch.cat(local.orders(keys[ue], count)).view(2, count)
        assert shuffles[:, ue, :count].tolist() == alone.tolist()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_is_torchs_own_and_checks_its_rate(name):
    def trained(build):
        torch.manual_seed(3)
        module = nn.Linear(4, 3)
        optimizer = build(module.parameters())
        for _ in range(3):
            optimizer.zero_grad()
            module(torch.randn(5, 4)).pow(2).sum().backward()
            optimizer.step()
        return optimizer, params_of(module)

    described = OPTIMIZERS[name](lr=0.25)
    ours, weights = trained(described.build)
    theirs, expected = trained(lambda parameters: described.torch_class(parameters, **asdict(described)))
    assert isinstance(ours, described.torch_class) and ours.defaults == theirs.defaults
    assert all(torch.equal(weights[key], expected[key]) for key in expected)
    one, other = ([list(held) for held in each.state_dict()["state"].values()] for each in (ours, theirs))
    assert one == other
    for rate in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(BadField, match="lr"):
            OPTIMIZERS[name](lr=rate)


def test_compute_times_lie_in_their_interval_and_belong_to_ue_and_round():
    assert ConstantCompute(2.0).time_s(1, 5, 7) == 2.0
    each, once = UniformCompute(1.0, 3.0), UniformCompute(1.0, 3.0, per_round=False)
    times = [each.time_s(1, ue, round) for ue in range(40) for round in range(40)]
    assert min(times) >= 1.0 and max(times) < 3.0
    # The mean of n uniform draws lies within four deviations, (high - low) / sqrt(12 n), of the middle.
    assert sum(times) / len(times) == pytest.approx(2.0, abs=4 * 2 / math.sqrt(12 * len(times)))
    assert once.time_s(1, 3, 0) == once.time_s(1, 3, 9) != each.time_s(1, 3, 9)
    tail = [ParetoCompute(0.5, 2.0).time_s(1, ue, round) for ue in range(50) for round in range(40)]
    assert min(tail) >= 0.5
    # P(time > 1.5) = (0.5 / 1.5)^2.
    share = sum(time > 1.5 for time in tail) / len(tail)
    assert share == pytest.approx(1 / 9, abs=4 * math.sqrt(8 / 81 / len(tail)))
    with pytest.raises(BadField, match="high_s"):
        UniformCompute(2.0, 1.0)


@pytest.mark.skipif(not MODERN, reason="torch 1.4 trains in the usual layout")
@pytest.mark.parametrize("model", [MnistCnn(), LeNet()])
@pytest.mark.parametrize("fast", [True, False])
def test_a_pool_copies_nothing_for_its_layout(model, fast):
    """By torch's profiler: nothing of a pool's backward pass, which would be all that it holds."""
    training = LocalTraining(lambda: model.build(model.shape, 10), model.loss, Sgd(), fast=fast)
    module = training.trainee()
    optimizer = training.build_optimizer(module)
    images, labels = torch.rand(8, *model.shape), torch.zeros(8, dtype=torch.int64)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        training.step(module, optimizer, images, labels)
    of_pools = [
        event
        for event in profiler.events()
        if event.name == "aten::copy_" and "max_pool2d" in " ".join(parent.name for parent in above(event))
    ]
    assert not of_pools
    *_, last = (one for one in module.parameters() if one.dim() == 4)
    assert last.is_contiguous(memory_format=torch.channels_last) == fast


def above(event):
    while event.cpu_parent is not None:
        event = event.cpu_parent
        yield event
