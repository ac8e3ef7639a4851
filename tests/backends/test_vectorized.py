"""The vectorized backend: unequal UEs in one stack, chunks, and refused settings."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fl_simu.backends.stacked import Stacked
from fl_simu.backends.torch_loop import Torch
from fl_simu.backends.vectorized import Vectorized
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.installation import MODERN
from fl_simu.kernel.parameters import distance, sha256
from fl_simu.models import DlgLeNet, LogisticRegression, Mlp, RowLstm
from fl_simu.models.base import cross_entropy
from fl_simu.ue.optimizers import Adadelta, Adagrad, Adam, AdamW, Sgd
from fl_simu.ue.training import Key, LocalTraining, Shard, Task, initial_params

pytestmark = pytest.mark.skipif(not MODERN, reason="torch.func needs the modern stack")

SHAPE, CLASSES, SEED = (1, 6, 6), 4, 3
UNEQUAL = (1, 40, 7, 23, 8, 2, 16, 17, 64, 9)


def local_training(model=None, optimizer=None, **options):
    model, optimizer = model or LogisticRegression(), optimizer or Sgd(lr=0.1)
    options = {"batch_size": 8, **options}
    make = partial(model.build, SHAPE, CLASSES)
    return LocalTraining(make, model.loss, optimizer, **options, fast=True, shape=SHAPE)


def shards(sizes):
    draws = torch.Generator().manual_seed(1)
    images = torch.randn(sum(sizes), *SHAPE, generator=draws)
    labels = torch.randint(0, CLASSES, (sum(sizes),), generator=draws)
    parts = torch.randperm(sum(sizes), generator=draws).split(list(sizes))
    return [Shard(images, labels, indices) for indices in parts]


def placed(spec, local, data):
    backend = spec.build(local)
    for ue, shard in enumerate(data):
        backend.place(ue, shard)
    return backend


def plain(local, data):
    """The plain loop, bit for bit, as the laws of backends assert."""
    return placed(Torch(exact=True), local, data)


def trained(backend, params, ues, round=0, memories=None):
    known = {} if memories is None else memories
    backend.train([Task(Key(SEED, ue, round), params, known.get(ue, {})) for ue in ues])
    found = {ue: backend.get(ue) for ue in ues}
    known.update((ue, one.memory) for ue, one in found.items())
    return [one.params for one in found.values()]


def assert_agree(models, wanted):
    for one, other in zip(models, wanted):
        assert list(one) == list(other)
        nought = {name: torch.zeros_like(tensor) for name, tensor in other.items()}
        assert distance(one, other) <= 1e-5 * distance(other, nought)


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    batch_size=st.integers(1, 31),
    epochs=st.integers(1, 2),
    drop_last=st.booleans(),
)
def test_shards_of_any_sizes_train_as_each_by_itself(sizes, **options):
    local, data = local_training(**options), shards(sizes)
    params, ues = initial_params(local.make_module, SEED), range(len(sizes))
    wanted = trained(plain(local, data), params, ues)
    assert_agree(trained(placed(Vectorized(), local, data), params, ues), wanted)


@pytest.mark.parametrize("model", [LogisticRegression(), Mlp((16,)), DlgLeNet()])
@pytest.mark.parametrize("optimizer", [Sgd(0.1, 0.9, 0.01), Adam(amsgrad=True), AdamW(), Adadelta(), Adagrad()])
def test_models_and_optimizers_on_unequal_shards(model, optimizer):
    local, data = local_training(model, optimizer, epochs=2), shards(UNEQUAL)
    params, ues = initial_params(local.make_module, SEED), range(len(data))
    wanted = trained(plain(local, data), params, ues)
    assert_agree(trained(placed(Vectorized(), local, data), params, ues), wanted)


def test_chunks_hold_what_fits_and_do_not_change_the_models():
    local, data = local_training(Mlp((1024,))), shards((20,) * 6)
    params, ues = initial_params(local.make_module, SEED), range(6)
    wanted = trained(plain(local, data), params, ues)
    # A model of 42,000 parameters: with gradients and what a step needs, 0.5 MB each.
    for memory_mb, chunks in ((1, 6), (2, 2), (100, 1)):
        backend, sizes = placed(Vectorized(memory_mb=memory_mb), local, data), []
        train = backend._stacked.train
        backend._stacked.train = lambda jobs, train=train, sizes=sizes: (sizes.append(len(jobs)), train(jobs))[1]
        assert_agree(trained(backend, params, ues), wanted)
        assert len(sizes) == chunks and sum(sizes) == 6


@pytest.mark.parametrize("optimizer", [Sgd(lr=0.1, momentum=0.9), Adam(), Adagrad()])
def test_ues_that_take_part_in_different_rounds_keep_their_own_optimizers(optimizer):
    local, data = local_training(Mlp((16,)), optimizer, keep_optimizer_state=True), shards((20, 9, 20, 33))
    params = initial_params(local.make_module, SEED)
    one, other = placed(Vectorized(), local, data), plain(local, data)
    memories, other_memories = {}, {}
    for round, ues in enumerate([(0, 1, 2), (2, 0), (1, 3), (0, 1, 2, 3)]):
        wanted = trained(other, params, ues, round, other_memories)
        assert_agree(trained(one, params, ues, round, memories), wanted)
        params = wanted[0]
    for ue in range(4):
        state, wanted = memories[ue], other_memories[ue]
        assert sorted(state) == sorted(wanted)
        for name, tensor in wanted.items():
            assert state[name].shape == tensor.shape
            torch.testing.assert_close(state[name], tensor, rtol=1e-4, atol=1e-6)


def test_ues_may_start_from_different_models_and_have_arrays_of_their_own():
    local = local_training()
    data = [*shards((12, 20)), *shards((12, 5, 20))]
    start = initial_params(local.make_module, SEED)
    other_start = initial_params(local.make_module, SEED + 1)
    results = []
    for backend in (placed(Vectorized(), local, data), plain(local, data)):
        backend.train([Task(Key(SEED, ue, 0), start, {}) for ue in (0, 2, 4)])
        backend.train([Task(Key(SEED, ue, 1), other_start, {}) for ue in (1, 3)])
        results.append([backend.get(ue).params for ue in (3, 0, 4, 1, 2)])
    assert_agree(*results)


def test_who_is_given_up_trains_for_the_others_sake_and_may_be_handed_another_model():
    local, data = local_training(), shards((20, 20))
    params = initial_params(local.make_module, SEED)
    backend, whole = placed(Vectorized(), local, data), placed(Vectorized(), local, data)
    wanted = trained(whole, params, (0, 1))[1], trained(whole, params, (0,), 1)[0]
    backend.train([Task(Key(SEED, ue, 0), params, {}) for ue in (0, 1)])
    backend.give_up(0)
    backend.train([Task(Key(SEED, 0, 1), params, {})])
    assert [sha256(backend.get(ue).params) for ue in (1, 0)] == [sha256(one) for one in wanted]


class _NormOfTheBatch(nn.Sequential):
    """Without buffers or random draws, but a sample's output depends on the rest of its batch."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(36, CLASSES), nn.BatchNorm1d(CLASSES, track_running_stats=False))


def sum_of_losses(output, target):
    return cross_entropy(output, target) * len(target)


@pytest.mark.parametrize(
    "make, loss, words",
    [
        (partial(Mlp(dropout=0.1).build, SHAPE, CLASSES), cross_entropy, "draws random numbers"),
        (partial(Mlp(batch_norm=True).build, SHAPE, CLASSES), cross_entropy, "batch norm"),
        (partial(RowLstm().build, SHAPE, CLASSES), cross_entropy, "torch.func cannot batch"),
        (_NormOfTheBatch, cross_entropy, "when samples are batched"),
        (partial(Mlp().build, SHAPE, CLASSES), sum_of_losses, "when samples are batched"),
    ],
)
def test_what_cannot_be_stacked_is_refused_in_one_line(make, loss, words):
    with pytest.raises(UserError, match=words) as refusal:
        Vectorized().build(LocalTraining(make, loss, Sgd(), fast=True, shape=SHAPE))
    assert "\n" not in str(refusal.value) and "use backend = 'torch'" in str(refusal.value)


class _FailsBackwards(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise KeyError("backwards")


class _Faulty(nn.Module):
    """Raises in the forward pass or in the backward one."""

    def __init__(self, where):
        super().__init__()
        self.linear, self.where = nn.Linear(36, CLASSES), where

    def forward(self, x):
        if self.where == "forward":
            raise KeyError("forwards")
        return _FailsBackwards.apply(self.linear(x.flatten(1)))


def faulty_loss(output, target):
    raise KeyError("the loss")


@pytest.mark.parametrize(
    "make, loss, words",
    [
        (partial(_Faulty, "forward"), cross_entropy, "forwards"),
        (partial(_Faulty, "backward"), cross_entropy, "backwards"),
        (partial(Mlp().build, SHAPE, CLASSES), faulty_loss, "the loss"),
    ],
)
def test_a_fault_of_the_model_itself_is_not_told_as_one_of_the_stack(make, loss, words):
    with pytest.raises(KeyError, match=words):
        Vectorized().build(LocalTraining(make, loss, Sgd(), fast=True, shape=SHAPE))


NO_MEMORY = [
    getattr(torch.cuda, "OutOfMemoryError", RuntimeError)("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory: you tried to ..."
    ),
    MemoryError(),
]


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("stacked", [False, True])
def test_out_of_memory_is_told_as_what_it_is(error, stacked, monkeypatch):
    def loss(*anything):
        raise error

    local = local_training(Mlp((16,)))
    with monkeypatch.context() as patched:
        if stacked:
            patched.setattr(Stacked, "loss", loss)
        with pytest.raises(UserError, match=r"cpu is out of memory .* use backend = 'torch'") as refusal:
            Vectorized().build(local if stacked else replace(local, loss=loss))
        assert "\n" not in str(refusal.value) and "torch.func" not in str(refusal.value)
    # The same holds in the middle of a run.
    backend, params = placed(Vectorized(), local, shards((8, 8))), initial_params(local.make_module, SEED)
    monkeypatch.setattr(Stacked, "loss", loss)
    with pytest.raises(UserError, match="vectorized is out of memory with 2 UEs at once"):
        trained(backend, params, (0, 1))
