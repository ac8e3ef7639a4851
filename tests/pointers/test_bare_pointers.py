"""The `child` of a wrapper alone: its behaviour in torch, and its owner."""

import pytest
import torch
import torch.nn.functional as F
from pointer_suite import count, printed, same

BARE = "[PointerTensor | me:# -> bob:#]"


def tensor(scale=1.0):
    return torch.tensor([[1.0, 2.0], [3.0, 4.0]]) * scale


CASES = """
p + q | p - q | p * q | p / q | p @ q | p + 1 | 1 + p | 2 * p | 1 - p | -p | p ** 2 | abs(p) | p > 1 | p[0]
p == q | p.add(q) | p.sum() | p.t() | p.view(4) | p.mean(1) | p.float() | p.type(torch.float64) | p.mul(q)
p.copy() | torch.add(p, q) | torch.sum(p) | F.relu(p) | p + x | p.mul(x)
"""


@pytest.mark.parametrize("case", [case.strip() for line in CASES.strip().splitlines() for case in line.split("|")])
def test_operation(case, bob):
    names = {"torch": torch, "F": F, "x": tensor(3)}
    expected = eval(case, dict(names, p=tensor(), q=tensor(2)))
    p, q = tensor().send(bob), tensor(2).send(bob)
    found = eval(case, dict(names, p=p.child, q=q.child))
    assert type(found).__name__ == "PointerTensor" and printed(found) == BARE
    assert same(found.get(), expected)


def test_in_place(bob):
    p = tensor().send(bob)
    child = p.child
    assert child.add_(1) is child and child.dim() == 2
    changed = child
    changed += tensor().send(bob).child
    assert p.get().tolist() == [[3, 5], [7, 9]]


def test_values_are_not_given(bob):
    with pytest.raises(RuntimeError, match=r'Please consider calling "\.get" method'):
        torch.tensor(1.0).send(bob).child.item()
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = tensor().send(bob).child.no_such_name


def test_two_workers(sy, bob, alice):
    p, q = tensor().send(bob), tensor().send(alice)
    for operation in (lambda: p.child + q.child, lambda: p.child.add(q.child)):
        with pytest.raises(sy.exceptions.TensorsNotCollocatedException, match="not on the same machine"):
            operation()


def test_combined(bob, alice):
    multi = tensor().send(bob).combine(tensor(2).send(alice))
    assert [one.tolist() for one in multi.get()] == [tensor(2).tolist(), tensor().tolist()], "itself comes last"
    with pytest.raises(AttributeError, match="child"):
        tensor().combine(tensor().send(bob))


@pytest.fixture
def me(sy):
    """The local worker, which is not a client here."""
    with sy.local_worker.registration_enabled() as worker:
        yield worker.clear_objects()
    worker.clear_objects()
    assert worker.is_client_worker


def test_who_is_no_client_holds_its_tensors(me):
    x = torch.tensor([1.0, 2.0])
    assert me._objects == {x.id: x} and me._objects[x.id] is x
    total, ones = x + 1, torch.ones(2)
    assert len(me._objects) == 1 and total.owner is ones.owner is me
    assert x.tag("#x") is x and me.search("#x")[0] is x


def test_who_is_no_client_holds_its_pointers(me, bob):
    pointer = torch.ones(2).send(bob)
    key = pointer.id
    assert me._objects[key] is pointer
    total = pointer + pointer
    assert total.id not in me._objects and count(bob) == 2
    del pointer
    assert count(bob) == 2, "held"
    me._objects[key].get()
    assert key not in me._objects and count(bob) == 1
    made = bob.remote.torch.zeros(2)
    assert me._objects[made.id] is made


def test_pointers_of_another_worker(bob, alice):
    x = torch.tensor([1.0, 2.0])
    x.owner = alice
    pointer = x.send(bob)
    assert printed(pointer) == "(Wrapper)>[PointerTensor | alice:# -> bob:#]"
    assert list(alice._objects) == [pointer.id] and alice._objects[pointer.id] is pointer
    back = pointer.get()
    assert back.owner is alice and (count(alice), count(bob)) == (0, 0)


def test_pointers_by_hand(sy, bob, alice):
    pointer = sy.PointerTensor(location=bob, id_at_location=5, owner=alice, id=77)
    assert count(alice) == 0
    pointer.wrap(register=False)
    assert count(alice) == 0
    pointer.wrap()
    assert list(alice._objects) == [77]


def test_what_another_worker_finds(bob, alice):
    kept = torch.tensor([1.0]).tag("#found").send(bob)
    (found,) = alice.request_search("#found", location=bob)
    assert list(alice._objects) == [found.id] and count(bob) == 1 and kept.location is bob


def test_tensors_with_an_owner_or_an_id(alice):
    x = torch.tensor([1.0], owner=alice)
    assert x.owner is alice and alice._objects[x.id] is x
    assert torch.tensor([1.0], id=33).id == 33


def test_native_names(sy, hook):
    x = torch.tensor([1.0, -2.0])
    assert torch.torch_hooked is True and sy.torch.hook.local_worker is hook.local_worker
    assert x.native_add(x).tolist() == x.native___add__(x).tolist() == torch.native_add(x, x).tolist() == [2, -4]
    assert F.native_relu(x).tolist() == [1, 0] and tuple(x.native_shape) == (2,)
    assert torch.native_tensor([1]).tolist() == [1]


def test_names_of_remote(bob):
    assert list(bob.remote.frameworks) == ["torch"] and isinstance(
        bob.remote.torch, bob.remote.frameworks["torch"]
    )
