"""Remote autograd and optimisers: gradients and weights equal to those of local training."""

import copy

import pytest
import torch
import torch.nn.functional as F
from pointer_suite import count, fetch, printed
from torch import nn, optim

GRADIENTS = [
    "(x * x).sum()", "(x + y).sum()", "(x - y).abs().sum()", "((x - y) ** 2).sum()", "(x * y).mean()",
    "(x @ y.t()).sum()",
    "x.exp().sum()", "(x / y).sum()", "x.sigmoid().sum()", "x.tanh().mean()", "F.relu(x - 1).sum()",
    "x.view(-1).pow(3).sum()",
    "F.mse_loss(x, y)", "F.softmax(x, dim=1).pow(2).sum()", "F.log_softmax(x, dim=1)[:, 0].sum()",
    "torch.cat([x, y]).pow(2).sum()",
    "torch.stack([x, y]).prod(0).sum()", "x.t().mm(y).sum()", "x[0].sum() * 2", "x.max()",
    "(x * 2 + 1).sqrt().sum()",
]  # fmt: skip


def leaves():
    return {
        "x": torch.tensor([[0.5, 1.5, 2.5], [3.0, 1.0, 0.25]], requires_grad=True),
        "y": torch.tensor([[2.0, 1.0, 0.5], [1.0, 4.0, 0.75]], requires_grad=True),
    }


@pytest.mark.parametrize("loss", GRADIENTS)
def test_gradient(loss, bob):
    here = leaves()
    expected = eval(loss, {"torch": torch, "F": F}, here)
    expected.backward()
    there = {name: leaf.send(bob) for name, leaf in leaves().items()}
    found = eval(loss, {"torch": torch, "F": F}, there)
    answer = found.backward()
    assert printed(answer) == "(Wrapper)>[PointerTensor | me:# -> bob:#]"
    assert torch.allclose(found.get().data, expected.data)
    for name in here:
        if here[name].grad is not None:
            assert printed(there[name].grad) == "(Wrapper)>[PointerTensor | me:# -> bob:#]::grad"
            assert torch.allclose(there[name].get().grad, here[name].grad)


def test_gradients_add_up_and_can_be_emptied(bob):
    x = torch.tensor([1.0, 2.0], requires_grad=True).send(bob)
    for _ in range(2):
        (x * x).sum().backward()
    assert fetch(x.grad).tolist() == [4, 8]
    x.grad.zero_()
    assert fetch(x.grad).tolist() == [0, 0]
    (x * x).sum().backward()
    assert printed(x.grad.data) == "(Wrapper)>[PointerTensor | me:# -> bob:#]::grad::data"
    assert x.get().grad.tolist() == [2, 4]


def test_what_comes_back_is_a_leaf(bob):
    x = torch.tensor([1.0, 2.0], requires_grad=True).send(bob)
    loss = (x * x).sum().get()
    assert (loss.requires_grad, loss.grad_fn, loss.item(), loss.data.item()) == (True, None, 5, 5)
    assert x.get().requires_grad


def test_retained_graph(bob):
    x = torch.tensor([1.0, 2.0], requires_grad=True).send(bob)
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert x.get().grad.tolist() == [4, 8]


def test_without_gradients(bob):
    x = torch.tensor([1.0, 2.0], requires_grad=True).send(bob)
    with torch.no_grad():
        assert not (x * 2).get().requires_grad
    assert (x * 2).get().requires_grad
    assert not (x.detach() * 2).get().requires_grad and not (x.data * 2).get().requires_grad


def test_descent_by_hand(bob):
    x, target = torch.tensor([1.0, 2.0], requires_grad=True).send(bob), torch.tensor([0.0, 1.0]).send(bob)
    for _ in range(3):
        ((x - target) ** 2).sum().backward()
        x.data.sub_(x.grad.data * 0.25)
        x.grad.data.zero_()
    assert torch.allclose(x.get().data, torch.tensor([0.125, 1.125]))


def data():
    torch.manual_seed(3)
    return torch.randn(12, 4), torch.randint(3, (12,))


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


def steps(model, optimizer, batches):
    losses = []
    for inputs, labels in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss)
    return losses


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "sgd_momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "sgd_nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "sgd_dampening": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5),
    "sgd_weight_decay": lambda p: optim.SGD(p, lr=0.1, weight_decay=0.1),
    "sgd_all": lambda p: optim.SGD(p, lr=0.1, momentum=0.5, weight_decay=0.01),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adam_betas": lambda p: optim.Adam(p, lr=0.01, betas=(0.5, 0.9), eps=1e-3),
    "adam_weight_decay": lambda p: optim.Adam(p, lr=0.01, weight_decay=0.1),
    "adamw": lambda p: optim.AdamW(p, lr=0.01),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01),
    "rmsprop_momentum": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.9),
    "rmsprop_centered": lambda p: optim.RMSprop(p, lr=0.01, centered=True),
    "adadelta": lambda p: optim.Adadelta(p, lr=1.0),
}


@pytest.mark.parametrize("resident", [True, False], ids=["resident", "fetched each step"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer(name, when, resident, bob):
    inputs, labels = data()
    here = network()
    expected = steps(here, OPTIMIZERS[name](here.parameters()), [(inputs, labels)] * 5)
    model = network()
    optimizer = OPTIMIZERS[name](model.parameters()) if when == "before" else None
    inputs, labels = inputs.send(bob), labels.send(bob)
    model.send(bob)
    optimizer = optimizer or OPTIMIZERS[name](model.parameters())
    losses = []
    for _ in range(5):
        losses += [loss.get() for loss in steps(model, optimizer, [(inputs, labels)])]
        if not resident:
            model.get()
            model.send(bob)
    model.get()
    for found, loss in zip(losses, expected):
        assert torch.allclose(found, loss, rtol=1e-5)
    for found, parameter in zip(model.parameters(), here.parameters()):
        assert torch.allclose(found, parameter, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("zeroed", [True, False], ids=["gradients set to 0", "gradients that add up"])
def test_momentum_is_no_part_of_the_gradient(zeroed, bob):
    trained = []
    for remote in (False, True):
        model, (inputs, labels) = network(), data()
        optimizer = OPTIMIZERS["sgd_momentum"](model.parameters())
        if remote:
            model.send(bob)
            inputs, labels = inputs.send(bob), labels.send(bob)
        for _ in range(3):
            for parameter in model.parameters() if zeroed else ():
                if parameter.grad is not None:
                    parameter.grad.zero_()
            F.cross_entropy(model(inputs), labels).backward()
            optimizer.step()
        trained.append(list((model.get() if remote else model).parameters()))
    assert all(torch.allclose(*pair, rtol=1e-5, atol=1e-7) for pair in zip(*trained))


@pytest.mark.parametrize("name", ["sgd_momentum", "adam"])
@pytest.mark.parametrize("resident", [True, False], ids=["resident", "fetched each step"])
def test_objects_are_constant_over_steps(name, resident, bob):
    inputs, labels = (tensor.send(bob) for tensor in data())
    model = network()
    optimizer = OPTIMIZERS[name](model.parameters())
    model.send(bob)
    counts = []
    for step in range(102):
        (loss,) = steps(model, optimizer, [(inputs, labels)])
        if not resident:
            model.get()
            model.send(bob)
        if step in (1, 51, 101):
            counts.append(count(bob))
    assert len(set(counts)) == 1 and counts[0] < 40
    del loss


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_everything_leaves_with_the_model_and_its_optimizer(name, bob):
    inputs, labels = (tensor.send(bob) for tensor in data())
    model = network()
    optimizer = OPTIMIZERS[name](model.parameters())
    model.send(bob)
    steps(model, optimizer, [(inputs, labels)] * 3)
    model.get()
    del optimizer
    assert count(bob) == 2
    del inputs, labels
    assert count(bob) == 0


def test_two_workers_in_turn_are_plain_descent(bob, alice):
    batches = list(zip(*(tensor.split(6) for tensor in data())))
    here = network()
    steps(here, OPTIMIZERS["sgd"](here.parameters()), batches * 3)
    model = network()
    optimizer = OPTIMIZERS["sgd"](model.parameters())
    there = [[tensor.send(worker) for tensor in batch] for worker, batch in zip((bob, alice), batches)]
    for _ in range(3):
        for inputs, labels in there:
            model.send(inputs.location)
            steps(model, optimizer, [(inputs, labels)])
            model.get()
    for found, parameter in zip(model.parameters(), here.parameters()):
        assert torch.allclose(found, parameter, rtol=1e-5, atol=1e-7)


def test_one_adam_for_two_workers_fails(bob, alice):
    model = network()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    inputs, labels = data()
    with pytest.raises(Exception):  # noqa: B017 not the same one on both
        for worker in (bob, alice):
            model.send(worker)
            steps(model, optimizer, [(inputs.send(worker), labels.send(worker))])
            model.get()


def test_an_adam_for_each_worker(sy, bob, alice):
    from_syft = __import__("importlib").import_module
    if sy.__name__ == "syft":
        Optims = from_syft("syft.federated.floptimizer").Optims
    else:
        Optims = sy.federated.floptimizer.Optims
    torch.manual_seed(4)
    batches = [(torch.randn(6, 4), torch.randint(3, (6,))) for _ in range(2)]

    here = network()
    adams = [OPTIMIZERS["adam"](here.parameters()) for _ in batches]
    for _ in range(3):
        for adam, batch in zip(adams, batches):
            steps(here, adam, [batch])

    model = network()
    optims = Optims(["bob", "alice"], optim=OPTIMIZERS["adam"](model.parameters()))
    there = [[tensor.send(worker) for tensor in batch] for worker, batch in zip((bob, alice), batches)]
    for _ in range(3):
        for inputs, labels in there:
            model.send(inputs.location)
            steps(model, optims.get_optim(inputs.location.id), [(inputs, labels)])
            model.get()
    assert optims.count() == 2
    for found, parameter in zip(model.parameters(), here.parameters()):
        assert torch.allclose(found, parameter, rtol=1e-5, atol=1e-7)


def test_clipped_gradients(bob):
    inputs, labels = data()
    here, model = network(), network()
    F.cross_entropy(here(inputs), labels).backward()
    largest = nn.utils.clip_grad_norm_(here.parameters(), 0.1)
    model.send(bob)
    F.cross_entropy(model(inputs.send(bob)), labels.send(bob)).backward()
    found = nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    assert torch.allclose(found.get().view(-1), torch.as_tensor(largest).view(-1), rtol=1e-4)
    model.get()
    for one, other in zip(model.parameters(), here.parameters()):
        assert torch.allclose(one.grad, other.grad, rtol=1e-4)


def test_a_learning_rate_that_changes(bob):
    inputs, labels = data()
    trained = []
    for place in (None, bob):
        model = network()
        optimizer = OPTIMIZERS["sgd"](model.parameters())
        scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
        batch = (inputs, labels) if place is None else (inputs.send(place), labels.send(place))
        if place is not None:
            model.send(place)
        for _ in range(3):
            steps(model, optimizer, [batch])
            scheduler.step()
        trained.append(copy.deepcopy((model if place is None else model.get()).state_dict()))
    for name, value in trained[0].items():
        assert torch.allclose(trained[1][name], value, rtol=1e-5, atol=1e-7)
