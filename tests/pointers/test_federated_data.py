"""Federated data: how a data set is split, and the order and number of batches."""

import logging

import pytest
import torch
from pointer_suite import count, fetch, printed
from torch.utils.data import Dataset, TensorDataset


class Rows(Dataset):
    def __init__(self, rows):
        self.x, self.y = torch.arange(2.0 * rows).view(rows, 2), torch.arange(rows)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return self.x[index], self.y[index]


def workers(sy, hook, number):
    return [sy.VirtualWorker(hook, id=name).clear_objects() for name in ("bob", "alice", "carol", "dave")[:number]]


def labels(loader):
    return [(data.location.id, fetch(target).tolist()) for data, target in loader]


@pytest.mark.parametrize(
    ("rows", "number", "parts"),
    [(7, 2, [4, 3]), (10, 3, [4, 4, 2]), (5, 4, [2, 2, 1]), (8, 2, [4, 4]), (3, 1, [3]), (4, 4, [1, 1, 1, 1])],
)
def test_federate(rows, number, parts, sy, hook):
    federated = Rows(rows).federate(workers(sy, hook, number))
    assert federated.workers == ["bob", "alice", "carol", "dave"][: len(parts)]
    assert [len(federated[worker]) for worker in federated.workers] == parts
    assert len(federated) == rows


def test_what_a_part_is(sy, hook, bob, alice):
    federated = Rows(7).federate((bob, alice))
    assert (
        str(federated)
        == repr(federated)
        == ("FederatedDataset\n    Distributed accross: bob, alice\n    Number of datapoints: 7\n")
    )
    part = federated["bob"]
    assert printed(repr(part)) == (
        "BaseDataset\n\tData: (Wrapper)>[PointerTensor | me:# -> bob:#]"
        "\n\ttargets: (Wrapper)>[PointerTensor | me:# -> bob:#]"
    )
    assert part.location is bob and (count(bob), count(alice)) == (2, 2)
    assert tuple(part.data.shape) == (4, 2) and part.targets.copy().get().tolist() == [0, 1, 2, 3]
    data, target = part[1]
    assert fetch(data).tolist() == [2, 3] and fetch(target).item() == 1


def test_tensor_datasets_and_base_datasets(sy, hook, bob, alice):
    x, y = torch.arange(8.0).view(4, 2), torch.arange(4)
    for dataset in (TensorDataset(x, y), sy.BaseDataset(x, y)):
        federated = dataset.federate((bob, alice))
        assert labels(sy.FederatedDataLoader(federated, batch_size=2)) == [("bob", [0, 1]), ("alice", [2, 3])]


LOADERS = [
    (7, 2, {"batch_size": 2}, 4, [("bob", [0, 1]), ("bob", [2, 3]), ("alice", [4, 5]), ("alice", [6])]),
    (7, 2, {"batch_size": 2, "drop_last": True}, 3, [("bob", [0, 1]), ("bob", [2, 3]), ("alice", [4, 5])]),
    (7, 2, {"batch_size": 3}, 3, [("bob", [0, 1, 2]), ("bob", [3]), ("alice", [4, 5, 6])]),
    (5, 1, {"batch_size": 2}, 3, [("bob", [0, 1]), ("bob", [2, 3]), ("bob", [4])]),
    (3, 2, {}, 1, [("bob", [0, 1]), ("alice", [2])]),
    (5, 4, {"batch_size": 1}, 5, [("bob", [0]), ("bob", [1]), ("alice", [2]), ("alice", [3]), ("carol", [4])]),
]


@pytest.mark.parametrize(("rows", "number", "options", "length", "expected"), LOADERS)
def test_loader(rows, number, options, length, expected, sy, hook):
    loader = sy.FederatedDataLoader(Rows(rows).federate(workers(sy, hook, number)), **options)
    assert len(loader) == length
    assert labels(loader) == expected
    assert labels(loader) == expected, "a second epoch is as the first"


def test_batches_are_pointers(sy, hook, bob):
    loader = sy.FederatedDataLoader(Rows(4).federate([bob]), batch_size=2)
    for data, target in loader:
        assert printed(data) == printed(target) == "(Wrapper)>[PointerTensor | me:# -> bob:#]"
        assert tuple(data.shape) == (2, 2) and str(type(data)) == "<class 'torch.Tensor'>"
        assert data.location is bob and fetch(data).dtype == torch.float32 and fetch(target).dtype == torch.int64
    del data, target
    assert count(bob) == 2


def test_a_shuffled_order_is_that_of_torchs_seed(sy, hook):
    federated = Rows(7).federate(workers(sy, hook, 2))
    loader = sy.FederatedDataLoader(federated, batch_size=3, shuffle=True)
    torch.manual_seed(1)
    expected = [torch.randperm(4).tolist(), [4 + row for row in torch.randperm(3).tolist()]]
    torch.manual_seed(1)
    found = labels(loader)
    assert found == [("bob", expected[0][:3]), ("bob", expected[0][3:]), ("alice", expected[1])]


def test_an_iterator_a_worker(sy, hook):
    loader = sy.FederatedDataLoader(Rows(7).federate(workers(sy, hook, 2)), batch_size=2, iter_per_worker=True)
    found = [{worker.id: fetch(batch[1]).tolist() for worker, batch in step.items()} for step in loader]
    assert found == [{"bob": [0, 1], "alice": [4, 5]}, {"bob": [2, 3], "alice": [6]}]


def test_several_iterators(sy, hook):
    loader = sy.FederatedDataLoader(Rows(9).federate(workers(sy, hook, 3)), batch_size=2, num_iterators=2)
    found = [{worker.id: fetch(batch[1]).tolist() for worker, batch in step.items()} for step in loader]
    assert found == [
        {"bob": [0, 1], "alice": [3, 4]},
        {"bob": [2], "alice": [5]},
        {"carol": [6, 7], "bob": [0, 1]},
        {"carol": [8], "bob": [2]},
        {"alice": [3, 4], "carol": [6, 7]},
        {"alice": [5], "carol": [8]},
    ]


def test_options_that_are_not_there(sy, hook, caplog):
    federated = Rows(4).federate(workers(sy, hook, 1))
    with caplog.at_level(logging.WARNING):
        sy.FederatedDataLoader(federated, num_workers=1)
    assert "The following options are not supported: num_workers: 1" in caplog.text
    with pytest.raises(Exception, match="Your dataset is not a FederatedDataset"):
        sy.FederatedDataLoader(Rows(3))


def test_datasets_made_by_hand(sy, hook, bob, alice):
    parts = [
        sy.BaseDataset(torch.ones(3, 2).send(bob), torch.tensor([0, 1, 2]).send(bob)),
        sy.BaseDataset(torch.ones(2, 2).send(alice), torch.tensor([3, 4]).send(alice)),
    ]
    federated = sy.FederatedDataset(parts)
    assert (federated.workers, len(federated)) == (["bob", "alice"], 5)
    loader = sy.FederatedDataLoader(federated, batch_size=2)
    assert labels(loader) == [("bob", [0, 1]), ("bob", [2]), ("alice", [3, 4])]


def test_base_dataset(sy, hook):
    dataset = sy.BaseDataset(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 2]))
    assert str(dataset) == "BaseDataset>None"
    assert repr(dataset) == "BaseDataset\n\tData: tensor([[1., 2.],\n        [3., 4.]])\n\ttargets: tensor([1, 2])"
    assert len(dataset) == 2 and dataset[0][0].tolist() == [1, 2] and dataset[1][1].item() == 2
    assert dataset.location is None
    dataset.transform(lambda rows: rows * 2)
    assert dataset.data.tolist() == [[2, 4], [6, 8]]
    doubled = sy.BaseDataset(torch.tensor([[1.0, 2.0]]), torch.tensor([1]), transform=lambda row: row * 2)
    assert doubled[0][0].tolist() == [2, 4]


def test_a_dataset_sent_as_one(sy, hook, bob):
    pointer = sy.BaseDataset(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([1, 2])).send(bob)
    assert pointer.location is bob and len(pointer) == 2
    assert printed(pointer.data) == "(Wrapper)>[PointerTensor | me:# -> bob:#]"
    assert fetch(pointer.data).tolist() == [[1, 2], [3, 4]] and fetch(pointer.targets).tolist() == [1, 2]
    back = pointer.get()
    assert back.data.tolist() == [[1, 2], [3, 4]]


def labelled(sy):
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    return sy.BaseDataset(rows, torch.tensor([1, 2, 3])).tag("#rows", "#all").describe("three rows\nand more")


def test_a_dataset_sent_as_one_stays(sy, bob):
    pointer = labelled(sy).send(bob)
    assert printed(pointer) == "[PointerDataset | me:# -> bob:#]\n\tTags: " + printed(pointer).split("Tags: ")[1]
    assert printed(pointer).endswith("\n\tDescription: three rows...") and pointer.tags == {"#rows", "#all"}
    del pointer
    (found,) = bob.search(["#rows", "#all"])
    assert type(found).__name__ == "BaseDataset" and len(found) == 3 and count(bob) == 1
    labelled(sy).tag("#other").send(bob)
    assert len(bob.search("#other")) == 1 and len(bob.search("#rows")) == 2


def test_a_dataset_is_found_from_afar(sy, bob):
    labelled(sy).send(bob)
    (found,) = sy.local_worker.request_search(["#rows"], location=bob)
    assert found.location.id == "bob" and not found.garbage_collect_data
    del found
    assert count(bob) == 1
    (found,) = sy.local_worker.request_search("#all", location=bob)
    back = found.get()
    assert type(back).__name__ == "BaseDataset" and back.targets.tolist() == [1, 2, 3] and count(bob) == 0
    assert back.owner is sy.local_worker and back.tags == {"#rows", "#all"}


def test_parts_of_a_sent_dataset_are_pointers_of_their_own(sy, bob):
    dataset = labelled(sy)
    pointer = dataset.send(bob)
    one, other = pointer.data, pointer.data
    del one
    assert other.sum().get().item() == 21 and other.get().tolist() == dataset.data.tolist()
    data, target = pointer[1:]
    assert data.get().tolist() == [[3, 4], [5, 6]] and target.get().tolist() == [2, 3]
    del other, data, target
    assert count(bob) == 1 and fetch(pointer.targets).tolist() == [1, 2, 3]


def test_a_loader_over_sent_datasets(sy, bob, alice):
    federated = sy.FederatedDataset([labelled(sy).send(bob), labelled(sy).send(alice)])
    assert (federated.workers, len(federated)) == (["bob", "alice"], 6)
    expected = [("bob", [1, 2]), ("bob", [3]), ("alice", [1, 2]), ("alice", [3])]
    assert labels(sy.FederatedDataLoader(federated, batch_size=2)) == expected


def steps(loader):
    """The labels of each step, by worker."""
    return [{worker.id: fetch(batch[1]).tolist() for worker, batch in step.items()} for step in loader]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [{"bob": [0, 1], "alice": [4, 5]}, {"bob": [2, 3], "alice": [6]}]),
        ({"drop_last": True}, [{"bob": [0, 1], "alice": [4, 5]}]),
        ({"drop_last": True, "num_iterators": 5}, [{"bob": [0, 1], "alice": [4, 5]}]),
    ],
)
def test_an_iterator_a_worker_with_other_options(options, expected, sy, hook):
    loader = sy.FederatedDataLoader(
        Rows(7).federate(workers(sy, hook, 2)), batch_size=2, iter_per_worker=True, num_workers=0, **options
    )
    assert loader.num_iterators == 2
    assert steps(loader) == steps(loader) == expected


def test_an_iterator_a_worker_of_one(sy, hook):
    loader = sy.FederatedDataLoader(Rows(3).federate(workers(sy, hook, 1)), batch_size=2, iter_per_worker=True)
    assert labels(loader) == [("bob", [0, 1]), ("bob", [2])]


def test_training_over_a_loader(sy, hook):
    torch.manual_seed(0)
    x = torch.randn(40, 3)
    y = (x @ torch.tensor([[1.0], [-2.0], [0.5]])) + 0.3
    loader = sy.FederatedDataLoader(TensorDataset(x, y).federate(workers(sy, hook, 2)), batch_size=5)
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(15):
        for data, target in loader:
            model.send(data.location)
            optimizer.zero_grad()
            loss = ((model(data) - target) ** 2).mean()
            loss.backward()
            optimizer.step()
            model.get()
    assert loss.get().item() < 1e-3
    assert torch.allclose(model.weight, torch.tensor([[1.0, -2.0, 0.5]]), atol=0.05)
