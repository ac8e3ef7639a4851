"""Workers: known workers, printed forms, objects; the hook; ids."""

import torch
from pointer_suite import printed


def test_printing(hook, sy):
    worker = sy.VirtualWorker(hook, id="printed")
    assert (str(worker), repr(worker), worker.id) == ("<VirtualWorker id:printed #objects:0>",) * 2 + ("printed",)


def test_workers_know_each_other(sy, hook, bob, alice):
    assert sy.local_worker.get_worker("bob") is bob or sy.local_worker.get_worker("bob").id == "bob"
    assert {"me", "bob", "alice"} <= set(bob._known_workers) & set(alice._known_workers)
    assert bob.get_worker("alice").id == "alice" and bob.get_worker(alice) is alice
    assert bob.add_workers([alice]) is bob


def test_the_same_id_is_the_same_worker(sy, hook, bob):
    again = sy.VirtualWorker(hook, id="bob")
    pointer = torch.tensor([1.0]).send(bob)
    assert again._objects is bob._objects and len(again._objects) == 1
    assert (pointer + torch.tensor([1.0]).send(again)).get().tolist() == [2]


def test_clear_objects(bob):
    pointer = torch.tensor([1.0]).send(bob)
    assert bob.clear_objects() is bob and bob._objects == {}
    assert bob.clear_objects(return_self=False) is None
    assert pointer.location is bob


def test_current_objects_is_a_copy(bob):
    pointer = torch.tensor([1.0]).send(bob)
    objects = bob.current_objects()
    assert list(objects) == [pointer.id_at_location] and objects is not bob._objects


def test_the_local_worker(sy, hook):
    assert sy.local_worker is hook.local_worker and sy.local_worker.id == "me"
    assert sy.local_worker.is_client_worker and not sy.VirtualWorker(hook, id="other").is_client_worker
    torch.tensor([1.0]).tag("#local")
    assert len(sy.local_worker._objects) == 0


def test_a_second_hook(sy, hook):
    first = sy.hook
    second = sy.TorchHook(torch)
    assert second.local_worker is sy.local_worker and sy.hook is first is not second
    worker = sy.VirtualWorker(second, id="of the second")
    assert torch.tensor([1.0]).send(worker).get().tolist() == [1]
    assert sy.TorchHook(torch, is_client=False).local_worker is sy.local_worker


def test_integers_are_ids_too(sy, hook):
    worker = sy.VirtualWorker(hook, id=7)
    assert str(worker) == "<VirtualWorker id:7 #objects:0>"
    assert printed(torch.tensor([1.0]).send(worker)) == "(Wrapper)>[PointerTensor | me:# -> 7:#]"


def test_data_at_the_start(sy, hook):
    worker = sy.VirtualWorker(hook, id="with data", data=[torch.tensor([1.0]).tag("#given"), torch.tensor([2.0])])
    assert len(worker._objects) == 2 and worker.search(["#given"])[0].tolist() == [1]


def test_ids(sy):
    ids = {sy.ID_PROVIDER.pop() for _ in range(1000)}
    assert len(ids) == 1000 and all(0 <= one < 10**11 for one in ids)
    sy.ID_PROVIDER.set_next_ids([2**60 + 1, 2**60 + 2], check_ids=False)
    assert [sy.ID_PROVIDER.pop(), sy.ID_PROVIDER.pop()] == [2**60 + 2, 2**60 + 1]


def test_version(sy):
    assert sy.version.__version__ == sy.__version__ == "0.2.4"
