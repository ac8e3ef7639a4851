"""Errors have the right names."""

import copy

import pytest
import torch

from fl_simu.kernel.installation import syft_installed


def tensor():
    return torch.tensor([[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize(
    "operation", ["p + x", "x + p", "p * x", "x - p", "p.add(x)", "p @ x", "p.mm(x)", "p.add_(x)", "p == x"]
)
def test_here_and_there(sy, operation, bob):
    with pytest.raises(sy.exceptions.TensorsNotCollocatedException, match="actually located on another machine"):
        eval(operation, {"p": tensor().send(bob), "x": tensor()})


def test_the_message_names_the_worker(sy, bob):
    with pytest.raises(sy.exceptions.TensorsNotCollocatedException) as told:
        tensor().send(bob) + tensor()
    assert ".send(bob) on the other tensor" in str(told.value)
    assert "Tensor A: [PointerTensor | me:" in str(told.value)


@pytest.mark.parametrize(
    "operation", ["p + q", "p * q", "p - q", "p.add(q)", "p @ q", "p.mm(q)", "p.add_(q)", "p / q"]
)
def test_two_workers(sy, operation, bob, alice):
    with pytest.raises(sy.exceptions.TensorsNotCollocatedException, match="are not on the same machine"):
        eval(operation, {"p": tensor().send(bob), "q": tensor().send(alice)})


@pytest.mark.parametrize("action", ["p.get()", "p + 1", "p.sum()", "p * p"])
def test_what_is_gone(sy, action, bob):
    pointer = tensor().send(bob)
    bob.clear_objects()
    with pytest.raises(sy.exceptions.ObjectNotFoundError, match="not found on worker!!!"):
        eval(action, {"p": pointer})


def test_item_says_get(bob):
    with pytest.raises(RuntimeError, match=r'Please consider calling "\.get" method instead of "\.item" method'):
        torch.tensor(1.0).send(bob).item()
    with pytest.raises(RuntimeError, match="get"):
        f"{torch.tensor(1.0).send(bob):.3f}"


def test_no_numpy(bob):
    with pytest.raises(AttributeError):
        tensor().send(bob).numpy()


def test_attributes_cannot_be_fetched(sy, bob):
    pointer = torch.tensor([1.0], requires_grad=True).send(bob)
    (pointer * 2).sum().backward()
    for attribute in (pointer.grad, pointer.data):
        with pytest.raises(sy.exceptions.CannotRequestObjectAttribute, match="not yet supported"):
            attribute.get()


def test_remote_get_needs_a_chain(sy, bob):
    with pytest.raises(Exception, match=r"child|chain"):
        tensor().send(bob).remote_get()


def test_unknown_worker(sy, hook):
    with pytest.raises(sy.exceptions.WorkerNotFoundException):
        sy.local_worker.get_worker("nobody", fail_hard=True)
    assert sy.local_worker.get_worker("nobody") == "nobody"


def test_a_model_and_its_data_apart(bob):
    model = torch.nn.Linear(2, 1).send(bob)
    with pytest.raises(Exception):  # noqa: B017 what 0.2.4 raises differs from operation to operation
        model(tensor())


def test_a_remote_model_has_no_deep_copy(bob):
    for copied in (lambda model: model.copy(), copy.deepcopy):
        with pytest.raises(TypeError) as told:
            copied(torch.nn.Linear(2, 1).send(bob))
        assert syft_installed() or "call model.get() first" in str(told.value)


def test_in_place_to_several_workers(bob, alice):
    with pytest.raises(NotImplementedError, match="Inplace send to several workers"):
        torch.nn.Linear(2, 1).send(bob, alice)
