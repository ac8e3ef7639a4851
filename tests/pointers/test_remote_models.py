"""Models sent to workers and back, and their average."""

import copy
import importlib
import io

import pytest
import torch
import torch.nn.functional as F
from pointer_suite import count, fetch, printed
from torch import nn


def linear():
    torch.manual_seed(0)
    return nn.Linear(2, 1)


def values(model):
    return [parameter.data.tolist() for parameter in model.parameters()]


def averaging(sy):
    if sy.__name__ == "syft":
        return importlib.import_module("syft.frameworks.torch.fl.utils")
    return sy.frameworks.torch.fl.utils


def test_send_and_get(bob):
    model = linear()
    before, parameters = values(model), list(model.parameters())
    assert model.send(bob) is model
    assert model.location is bob and count(bob) == 2
    assert printed(model.weight) == "(Wrapper)>[PointerTensor | me:# -> bob:#]"
    assert printed(repr(model.weight)) == "Parameter containing:\n(Wrapper)>[PointerTensor | me:# -> bob:#]"
    assert str(type(model.weight)) == "<class 'torch.nn.parameter.Parameter'>"
    assert isinstance(model.weight, nn.Parameter) and tuple(model.weight.shape) == (1, 2)
    assert all(one is other for one, other in zip(parameters, model.parameters()))
    assert model.get() is model
    assert model.location is None and count(bob) == 0
    assert values(model) == before and isinstance(model.weight, nn.Parameter) and model.weight.is_leaf
    assert all(one is other for one, other in zip(parameters, model.parameters()))
    assert str(type(model.weight)) == "<class 'torch.nn.parameter.Parameter'>" and model.weight.requires_grad


def test_what_the_worker_has_are_parameters(bob):
    model = linear().send(bob)
    assert [type(one).__name__ for one in bob._objects.values()] == ["Parameter", "Parameter"]
    assert str(bob[model.bias.id_at_location]).startswith("Parameter containing:\ntensor([")


def test_missing_gradients_become_zeros(bob):
    model = linear().send(bob).get()
    assert [parameter.grad.tolist() for parameter in model.parameters()] == [[[0, 0]], [0]]


def test_gradients_travel(bob):
    model = linear()
    model(torch.ones(3, 2)).sum().backward()
    model.send(bob).get()
    assert [parameter.grad.tolist() for parameter in model.parameters()] == [[[3, 3]], [3]]


def test_move(bob, alice):
    model = linear()
    before = values(model)
    model.send(bob)
    assert model.move(alice) is None
    assert model.location is alice and (count(bob), count(alice)) == (0, 2)
    assert values(model.get()) == before and count(alice) == 0


def test_copy(bob, alice):
    model = linear()
    one, two = model.copy().send(bob), model.copy().send(alice)
    with torch.no_grad():
        one.weight.add_(1)
    one.get(), two.get()
    assert torch.allclose(one.weight, model.weight + 1) and values(two) == values(model)


def test_deep_copies_train_apart(bob):
    model = linear()
    models = [copy.deepcopy(model).send(bob) for _ in range(2)]
    models[0](torch.ones(1, 2).send(bob)).sum().backward()
    with torch.no_grad():
        models[0].weight.sub_(models[0].weight.grad)
    assert torch.allclose(models[0].get().weight, model.weight - 1) and values(models[1].get()) == values(model)


def test_state_dict_after_get(bob):
    model = linear()
    before = copy.deepcopy(model.state_dict())
    model.send(bob).get()
    assert {name: value.tolist() for name, value in model.state_dict().items()} == {
        name: value.tolist() for name, value in before.items()
    }
    model.load_state_dict({name: value + 1 for name, value in before.items()})
    assert torch.allclose(model.weight, before["weight"] + 1)


def test_a_state_dict_taken_before_does_not_follow(bob):
    model = linear()
    before = model.state_dict()
    kept = before["weight"].tolist()
    model.send(bob)
    with torch.no_grad():
        model.weight.add_(1)
    model.get()
    assert before["weight"].tolist() == kept


def test_state_dict_of_a_remote_model(sy, bob):
    model = linear().send(bob)
    state = model.state_dict()
    assert printed(state["weight"]) == "(Wrapper)>[PointerTensor | me:# -> bob:#]::data"
    assert fetch(state["weight"]).tolist() == bob[model.weight.id_at_location].tolist() and count(bob) == 2
    with pytest.raises(sy.exceptions.CannotRequestObjectAttribute):
        state["weight"].get()


def test_an_optimizer_is_saved_after_get(bob, tmp_path):
    model = linear()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model.send(bob)
    model(torch.ones(3, 2).send(bob)).sum().backward()
    optimizer.step()
    model.get()
    path = str(tmp_path / "checkpoint.pt")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, path)
    read = torch.load(path)
    other = linear()
    other.load_state_dict(read["model"])
    resumed = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    resumed.load_state_dict(read["optimizer"])
    assert read["epoch"] == 3 and values(other) == values(model)
    assert len(resumed.state_dict()["state"]) == 2


def test_traced_beside_a_hook(bob):
    model = linear()
    traced = torch.jit.trace(model, torch.ones(1, 2))
    found = traced(torch.ones(3, 2))
    assert torch.equal(found, model(torch.ones(3, 2)))
    assert torch.equal(model.send(bob)(torch.ones(3, 2).send(bob)).get(), found)


def test_saving_after_get(bob):
    model = linear()
    model.send(bob).get()
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other = nn.Linear(2, 1)
    other.load_state_dict(torch.load(file))
    assert values(other) == values(model)


def test_train_and_eval(bob):
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).send(bob)
    x = torch.ones(50, 2).send(bob)
    assert model.eval() is model and not model.training
    assert torch.equal(model(x).get(), model(x).get())
    assert model.train() is model and model.training
    assert not torch.equal(model(x).get(), model(x).get())


def test_weights_by_hand(bob):
    model = linear().send(bob)
    weight = bob[model.weight.id_at_location].detach().clone()
    assert torch.equal(model.weight.copy().get(), weight)
    assert torch.equal(model.weight.data.copy().get(), weight)
    assert torch.equal((model.weight.data * 2).get(), weight * 2)
    assert printed(model.weight.data) == "(Wrapper)>[PointerTensor | me:# -> bob:#]::data"
    assert not (model.weight.data + 1).get().requires_grad


def test_the_tutorials_average(bob, alice):
    model = linear()
    ones, twos = linear().send(bob), linear().send(alice)
    with torch.no_grad():
        for remote, value in ((ones, 1.0), (twos, 2.0)):
            remote.weight.fill_(value)
            remote.bias.fill_(value)
    ones.move(alice)
    with torch.no_grad():
        model.weight.set_(((ones.weight.data + twos.weight.data) / 2).get())
        model.bias.set_(((ones.bias.data + twos.bias.data) / 2).get())
    assert values(model) == [[[1.5, 1.5]], [1.5]]
    assert model(torch.ones(1, 2)).item() == 4.5


def test_federated_avg(sy):
    models = {}
    for name, value in (("a", 1.0), ("b", 3.0), ("c", 8.0)):
        models[name] = nn.Linear(2, 1)
        with torch.no_grad():
            models[name].weight.fill_(value)
            models[name].bias.fill_(-value)
    average = averaging(sy).federated_avg(models)
    assert average is models["a"] and values(average) == [[[4, 4]], [-4]]
    assert values(models["b"]) == [[[3, 3]], [-3]]


def test_federated_avg_leaves_buffers_alone(sy):
    models = {name: nn.BatchNorm1d(2) for name in "ab"}
    models["b"].running_mean.fill_(4)
    assert averaging(sy).federated_avg(models).running_mean.tolist() == [0, 0]


def test_parts_of_an_average(sy):
    utils = averaging(sy)
    one, two = linear(), linear()
    expected = [torch.tensor(value) * 2 for value in values(one)]
    assert utils.add_model(one, two) is one
    assert all(torch.allclose(torch.tensor(found), value) for found, value in zip(values(one), expected))
    assert utils.scale_model(one, 0.5) is one and values(one) == values(two)
    assert utils.accuracy(torch.eye(3), torch.tensor([0, 1, 1])) == pytest.approx(2 / 3)


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 5, 1)
        self.conv2 = nn.Conv2d(4, 8, 5, 1)
        self.fc1 = nn.Linear(4 * 4 * 8, 16)
        self.fc2 = nn.Linear(16, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2, 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2, 2)
        x = x.view(-1, 4 * 4 * 8)
        return F.log_softmax(self.fc2(F.relu(self.fc1(x))), dim=1)


def test_the_tutorials_cnn(bob):
    torch.manual_seed(2)
    images, labels = torch.randn(4, 1, 28, 28), torch.tensor([1, 2, 3, 4])
    results = []
    for place in (None, bob):
        torch.manual_seed(1)
        model = Cnn()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x, y = (images, labels) if place is None else (images.send(place), labels.send(place))
        losses = []
        for _ in range(3):
            if place is not None:
                model.send(x.location)
            x, y = x.to(torch.device("cpu")), y.to("cpu")
            optimizer.zero_grad()
            loss = F.nll_loss(model(x), y)
            loss.backward()
            optimizer.step()
            if place is not None:
                model.get()
                loss = loss.get()
            losses.append(loss.item())
        results.append((losses, model.fc2.weight.detach()))
    assert results[0][0] == pytest.approx(results[1][0], rel=1e-5)
    assert torch.allclose(results[0][1], results[1][1], rtol=1e-4, atol=1e-6)
