import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from fl_simu.kernel.errors import BadField
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.parameters import params_of
from fl_simu.models import LeNet, LensG, LogisticRegression, Mlp, MnistCnn
from fl_simu.ue.compute import ConstantCompute, CyclesCompute, ParetoCompute, UniformCompute
from fl_simu.ue.optimizers import OPTIMIZERS, Sgd
from fl_simu.ue.training import Key, LocalTraining
from fl_simu.ue.work import Work

SHAPE = (1, 28, 28)


def local_training(**options):
    model = LogisticRegression()
    return LocalTraining(lambda: model.build((1, 2, 2), 3), model.loss, Sgd(), **options)


def test_every_epoch_sees_every_sample_once():
    batches = local_training(epochs=3, batch_size=4).orders(Key(1, 2, 3), 10)
    assert [len(batch) for batch in batches] == [4, 4, 2] * 3
    epochs = [torch.cat(batches[start : start + 3]).tolist() for start in (0, 3, 6)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 3
    assert epochs[0] != epochs[1]


def test_with_drop_last_every_batch_is_full_and_none_is_left_out_for_ever():
    batches = local_training(epochs=40, batch_size=4, drop_last=True).orders(Key(1, 2, 3), 11)
    assert [len(batch) for batch in batches] == [4, 4] * 40
    epochs = torch.cat(batches).view(40, 8).tolist()
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    # The chance that one of 11 is among the 3 left out in all of 40 epochs is 11 (3 / 11)^40, practically 0.
    assert {sample for epoch in epochs for sample in epoch} == set(range(11))


WITH_BATCH_NORM = Mlp((4,), batch_norm=True), {0: 32, 1: 33}


@pytest.mark.parametrize(
    "model, samples, options, said",
    [
        (*WITH_BATCH_NORM, {}, r"batch_size = 8 .* UE 1 has 33 samples, .*, or set training.drop_last = true$"),
        (*WITH_BATCH_NORM, {"batch_size": 1}, r"batch_size = 1 .* UE 0 has 32 samples, .* another batch_size$"),
        (*WITH_BATCH_NORM, {"drop_last": True}, None),
        (*WITH_BATCH_NORM, {"batch_size": 7}, None),
        (
            *WITH_BATCH_NORM,
            {"batch_size": 33, "drop_last": True},
            r"drop_last = True .* UE 0 .* 32 samples, .* 33$",
        ),
        (LensG(), {0: 1}, {}, r"batch_size = 8 .* UE 0 has 1 samples"),
        # A model that works on one sample may have a batch of one; one that fails on any batch fails in training.
        (Mlp((4,)), {0: 32, 1: 33}, {}, None),
        (MnistCnn(), {0: 32, 1: 33}, {"shape": (1, 4, 4)}, None),
    ],
)
def test_batches_that_a_ue_cannot_train_on_are_told_before(model, samples, options, said):
    options = {"batch_size": 8, "shape": SHAPE, **options}
    local = LocalTraining(lambda: model.build(SHAPE, 3), model.loss, Sgd(), **options)
    state = torch.get_rng_state()
    if said is None:
        local.check(samples)
    else:
        with pytest.raises(BadField, match=said):
            local.check(samples)
    assert torch.equal(torch.get_rng_state(), state)


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
    shuffles = local.shuffles(keys, samples, local.epochs)
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


WORK = Work(samples=10, epochs=1, steps=2)


def test_compute_times_lie_in_their_interval_and_belong_to_ue_and_round():
    assert ConstantCompute(2.0).time_s(1, 5, 7, WORK) == 2.0
    each, once = UniformCompute(1.0, 3.0), UniformCompute(1.0, 3.0, per_round=False)
    times = [each.time_s(1, ue, round, WORK) for ue in range(40) for round in range(40)]
    assert min(times) >= 1.0 and max(times) < 3.0
    # The mean of n uniform draws is within four standard errors, (high - low) / sqrt(12 n), of the middle.
    assert sum(times) / len(times) == pytest.approx(2.0, abs=4 * 2 / math.sqrt(12 * len(times)))
    assert once.time_s(1, 3, 0, WORK) == once.time_s(1, 3, 9, WORK) != each.time_s(1, 3, 9, WORK)
    tail = [ParetoCompute(0.5, 2.0).time_s(1, ue, round, WORK) for ue in range(50) for round in range(40)]
    assert min(tail) >= 0.5
    # P(time > 1.5) = (0.5 / 1.5)^2.
    share = sum(time > 1.5 for time in tail) / len(tail)
    assert share == pytest.approx(1 / 9, abs=4 * math.sqrt(8 / 81 / len(tail)))
    with pytest.raises(BadField, match="high_s"):
        UniformCompute(2.0, 1.0)


def test_cycles_take_the_time_of_each_ues_processor():
    # 2e4 cycles for each of 10 samples, once, at 1 GHz.
    assert CyclesCompute(2e4, 1e9, 1e9).time_s(1, 5, 7, WORK) == pytest.approx(2e-4)
    rule, ues = CyclesCompute(2e4, 1e9, 2e9), 4000
    times = [rule.time_s(1, ue, 0, WORK) for ue in range(ues)]
    assert times[3] == rule.time_s(1, 3, 9, WORK) != times[4]
    assert rule.time_s(1, 3, 0, Work(20, 3, 12)) == pytest.approx(6 * times[3])
    assert min(times) >= 1e-4 and max(times) <= 2e-4
    # In 1/GHz the mean of 1 / f is ln 2, and the variance of one draw 1/2 - ln(2)^2.
    deviation = math.sqrt((0.5 - math.log(2) ** 2) / ues)
    assert sum(times) / ues / 2e-4 == pytest.approx(math.log(2), abs=4 * deviation)
    for arguments, field in (((-1.0,), "cycles_per_sample"), ((1.0, 0.0), "low_hz"), ((1.0, 2.0, 1.0), "high_hz")):
        with pytest.raises(BadField, match=field):
            CyclesCompute(*arguments)


@pytest.mark.skipif(not MODERN, reason="torch 1.4 trains in the usual layout")
@pytest.mark.parametrize("model", [MnistCnn(), LeNet()])
@pytest.mark.parametrize("fast", [True, False])
def test_a_pool_copies_nothing_for_its_layout(model, fast):
    """By torch's profiler: no copies in a pool's backward pass, which would copy all of its data."""
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
