"""Moving tensors: send, get, move, copy, tags, pointers to pointers, several workers."""

import pytest
import torch
from pointer_suite import count, fetch, printed

POINTER = "(Wrapper)>[PointerTensor | me:# -> bob:#]"


def tensor(**options):
    return torch.tensor([[1.0, 2.0], [3.0, 4.0]], **options)


def test_send_and_get(bob):
    x = tensor()
    pointer = x.send(bob)
    assert printed(pointer) == printed(repr(pointer)) == f"{pointer}".replace(str(pointer), POINTER) == POINTER
    assert printed(bob) == repr(bob) == "<VirtualWorker id:bob #objects:1>"
    assert printed(bob._objects) == "{#: tensor([[1., 2.],\n        [3., 4.]])}"
    assert pointer.get().tolist() == [[1, 2], [3, 4]]
    assert bob._objects == {}
    assert printed(bob) == "<VirtualWorker id:bob #objects:0>"


def test_what_a_pointer_knows(sy, hook, bob):
    x = tensor()
    pointer = x.send(bob)
    assert (pointer.location, pointer.owner) == (bob, sy.local_worker)
    assert pointer.id_at_location == x.id and pointer.id != x.id
    assert list(bob._objects) == [pointer.id_at_location] and bob[pointer.id_at_location].tolist() == x.tolist()
    assert (pointer.is_wrapper, x.is_wrapper, x.location) == (True, False, None)
    assert (tuple(pointer.shape), len(pointer), pointer.dim()) == ((2, 2), 2, 2)
    assert (pointer.tags, pointer.description, pointer.has_child(), pointer.gc) == (None, None, True, True)
    child = pointer.child
    assert isinstance(child, sy.PointerTensor) and isinstance(pointer, torch.Tensor)
    assert (child.location, child.point_to_attr, child.garbage_collect_data) == (bob, None, True)
    assert (child.id, child.id_at_location) == (pointer.id, pointer.id_at_location)
    assert x.owner is sy.local_worker and tuple(child.shape) == (2, 2)


def test_the_copy_there_is_another_tensor(bob):
    x = tensor()
    pointer = x.send(bob)
    x.add_(1)
    assert fetch(pointer).tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize("action", ["pointer.get()", "pointer.child.get()", "pointer.move(alice)"])
def test_a_pointer_serves_once(action, bob, alice):
    pointer = tensor().send(bob)
    pointer.get()
    with pytest.raises(AttributeError, match="child"):
        eval(action)


def test_get_of_what_was_never_sent():
    with pytest.raises(AttributeError, match="'Tensor' object has no attribute 'child'"):
        tensor().get()
    with pytest.raises(AttributeError, match="'Parameter' object has no attribute 'child'"):
        torch.nn.Linear(1, 1).get()


def test_send_by_id(bob):
    assert printed(tensor().send("bob")) == POINTER
    with pytest.raises(AttributeError):
        tensor().send("nobody")


def test_in_place(bob):
    x = tensor()
    assert x.send_(bob) is x and printed(x) == POINTER and count(bob) == 1
    assert x.get_() is x and x.tolist() == [[1, 2], [3, 4]] and count(bob) == 0


def test_objects_leave_with_their_last_pointer(bob):
    x, y = tensor().send(bob), tensor().send(bob)
    z = x + y
    assert count(bob) == 3
    del x
    assert count(bob) == 2
    del y, z
    assert count(bob) == 0


def test_sent_twice_it_is_one_object_of_the_newer_pointer(bob):
    x = tensor()
    first = x.send(bob)
    second = x.send(bob)
    assert first.id_at_location == second.id_at_location and count(bob) == 1
    del first
    assert count(bob) == 1
    del second
    assert count(bob) == 0


def test_objects_that_stay(bob):
    pointer = tensor().send(bob, garbage_collect_data=False)
    del pointer
    assert count(bob) == 1
    pointer = tensor().send(bob)
    pointer.child.garbage_collect_data = False
    del pointer
    pointer = tensor().send(bob).disable_gc
    del pointer
    pointer = tensor().send(bob)
    pointer.gc = False
    del pointer
    assert count(bob) == 4


def test_clone_is_a_second_pointer_and_copy_a_second_tensor(bob):
    pointer = tensor().send(bob)
    clone = pointer.clone()
    assert (clone.id, clone.id_at_location) == (pointer.id, pointer.id_at_location) and count(bob) == 1
    assert clone.get().tolist() == [[1, 2], [3, 4]] and count(bob) == 0
    pointer = tensor().send(bob)
    copy = pointer.copy()
    assert count(bob) == 2
    assert copy.get().tolist() == [[1, 2], [3, 4]] and count(bob) == 1


def test_results_hold_no_more_than_their_pointers(bob):
    x = tensor().send(bob)
    for _ in range(20):
        y = (x @ x).sum()
    assert count(bob) == 2
    assert y.get().item() == 54


def test_in_place_operations_make_no_object(bob):
    x = tensor().send(bob)
    y = x.add_(1)
    x += 1
    assert y is x and count(bob) == 1 and x.get().tolist() == [[3, 4], [5, 6]]


def test_move(bob, alice):
    pointer = tensor().send(bob)
    assert pointer.move(alice) is pointer
    assert pointer.location is alice and (count(bob), count(alice)) == (0, 1)
    assert printed(pointer) == "(Wrapper)>[PointerTensor | me:# -> alice:#]"
    assert (pointer + pointer).get().tolist() == [[2, 4], [6, 8]]
    assert pointer.get().tolist() == [[1, 2], [3, 4]] and count(alice) == 0


def test_gradients_move_along(bob, alice):
    pointer = tensor(requires_grad=True).send(bob)
    (pointer * pointer).sum().backward()
    assert pointer.move(alice).get().grad.tolist() == [[2, 4], [6, 8]]


def test_pointers_to_pointers(bob, alice):
    pointer = tensor().send(bob)
    outer = pointer.send(alice)
    assert printed(outer) == "(Wrapper)>[PointerTensor | me:# -> alice:#]"
    assert printed(list(alice._objects.values())) == "[(Wrapper)>[PointerTensor | alice:# -> bob:#]]"
    assert outer.location is alice and outer.id_at_location == pointer.id
    assert (count(alice), count(bob)) == (1, 1)
    total = outer + outer
    assert (count(alice), count(bob)) == (2, 2)
    inner = total.get()
    assert printed(inner) == POINTER and inner.get().tolist() == [[2, 4], [6, 8]]
    assert outer.get().get().tolist() == [[1, 2], [3, 4]]
    assert (count(alice), count(bob)) == (0, 0)


def test_chain_in_one_line(bob, alice):
    outer = tensor().send(bob).send(alice)
    assert outer.get().get().tolist() == [[1, 2], [3, 4]]


def test_a_chain_ends_with_its_outer_pointer(bob, alice):
    outer = tensor().send(bob).send(alice)
    assert (count(alice), count(bob)) == (1, 1)
    del outer
    assert (count(alice), count(bob)) == (0, 0)


def test_remote_get(bob, alice):
    outer = tensor().send(bob).send(alice)
    assert outer.remote_get() is outer
    assert (count(alice), count(bob)) == (1, 0)
    assert outer.get().tolist() == [[1, 2], [3, 4]]


def test_tags_and_descriptions(bob):
    pointer = tensor().tag("#data").describe("two rows\nand more").send(bob)
    assert printed(pointer) == (
        POINTER + "\n\tTags: #data \n\tShape: torch.Size([2, 2])\n\tDescription: two rows..."
    )
    assert pointer.tags == {"#data"} and pointer.description == "two rows\nand more"
    assert printed(tensor().send(bob).tag("#late")) == POINTER + "\n\tTags: #late \n\tShape: torch.Size([2, 2])"


def test_labels_are_printed_where_a_tensor_is(bob):
    x = torch.tensor([1.0, 2.0])
    assert str(x) == repr(x) == f"{x}" == "tensor([1., 2.])"
    x.tag("#data")
    tagged = "tensor([1., 2.])\n\tTags: #data \n\tShape: torch.Size([2])"
    assert str(x) == repr(x) == f"{x}" == tagged
    x.describe("two numbers\nand more")
    described = tagged.replace("\n\tShape", "\n\tDescription: two numbers...\n\tShape")
    assert [str(one) for one in (x, x.send(bob).get(), x * 1)] == [described, described, "tensor([1., 2.])"]


def test_search(sy, bob):
    pointer = tensor().tag("#data", "#train").send(bob)
    other = (tensor() * 2).tag("#data").send(bob)
    assert sorted(found.sum().item() for found in bob.search(["#data"])) == [10, 20]
    assert [found.tolist() for found in bob.search(["#data", "#train"])] == [[[1, 2], [3, 4]]]
    assert len(bob.search("#data")) == 2 and bob.search(["#nothing"]) == []
    (found,) = sy.local_worker.request_search(["#train"], location=bob)
    assert found.location.id == "bob" and found.id_at_location == pointer.id_at_location
    assert printed(found) == POINTER + "\n\tTags: " + printed(found).split("Tags: ")[1]
    del found
    assert count(bob) == 2 and other.location is bob


def test_find_by_tag(bob):
    pointer = tensor().tag("#a").send(bob)
    assert [found.tolist() for found in bob.find_by_tag("#a")] == [[[1, 2], [3, 4]]]
    assert bob.find_by_tag("#b") == [] and bob.find_by_id(pointer.id_at_location) is not None


MULTI = (
    "(Wrapper)>[MultiPointerTensor]\n\t-> [PointerTensor | me:# -> bob:#]\n\t-> [PointerTensor | me:# -> alice:#]"
)


def test_several_workers(bob, alice):
    multi = tensor().send(bob, alice)
    assert printed(multi) == MULTI and tuple(multi.shape) == (2, 2)
    assert (count(bob), count(alice)) == (1, 1) and list(multi.child.child) == ["bob", "alice"]
    total = multi + multi
    assert printed(total) == MULTI and (count(bob), count(alice)) == (2, 2)
    assert [one.tolist() for one in total.get()] == [[[2, 4], [6, 8]]] * 2
    assert multi.get(sum_results=True).tolist() == [[2, 4], [6, 8]]
    assert (count(bob), count(alice)) == (0, 0)


@pytest.mark.parametrize(
    "case", ["m + m", "m * 2", "m - m", "torch.mm(m, m)", "m.sum()", "m @ m", "torch.add(m, m)"]
)
def test_operations_of_several_workers(case, bob, alice):
    expected = eval(case, {"torch": torch, "m": tensor()})
    found = eval(case, {"torch": torch, "m": tensor().send(bob, alice)}).get()
    assert [one.tolist() for one in found] == [expected.tolist()] * 2


def test_combined_pointers(sy, bob, alice):
    combined = sy.combine_pointers(tensor().send(bob), (tensor() * 10).send(alice))
    assert printed(combined) == (
        "(Wrapper)>[MultiPointerTensor]\n\t-> (Wrapper)>[PointerTensor | me:# -> bob:#]"
        "\n\t-> (Wrapper)>[PointerTensor | me:# -> alice:#]"
    )
    assert [one.sum().item() for one in combined.get()] == [10, 100]


def test_tensors_made_there(bob):
    pointer = bob.remote.torch.tensor([1, 2])
    assert printed(pointer) == POINTER and pointer.get().tolist() == [1, 2]
    assert bob.remote.torch.zeros(2).get().tolist() == [0, 0]


def test_types_survive(bob):
    for dtype in (torch.float32, torch.float64, torch.int64, torch.int32, torch.uint8, torch.bool):
        back = torch.tensor([0, 1, 1]).to(dtype).send(bob).get()
        assert back.dtype == dtype and back.tolist() == torch.tensor([0, 1, 1]).to(dtype).tolist()
    assert torch.tensor(3.5).send(bob).get().item() == 3.5
    assert torch.zeros(0, 2).send(bob).get().shape == (0, 2)
