"""Workers in other processes: the same answers as from real syft 0.2.4, and from workers of this process."""

import importlib.util
import socket

import pytest
import torch
from pointer_suite import fetch, printed, same
from serving import count_there
from test_exec import program
from torch import nn

from fl_simu.kernel.installation import syft_installed

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("websockets") is None, reason="needs the extra websockets"
)
ours_only = pytest.mark.skipif(syft_installed(), reason="fl_simu.pointers runs on torch 2.5 or newer")


@torch.jit.script
def squared(pred, target):
    return ((target - pred) ** 2).mean()


TOLD = """
Tags: Shape: torch.Size([3]) Description: three numbers...
tensor([ 9., 12., 15.]) torch.Size([3]) 3
1 tensor([0., 1., 2.])
Train worker alice: [0/2] loss 1.1072
Train worker bob: [0/2] loss 1.1040
Train worker alice: [0/1] loss 1.2187
Train worker bob: [0/1] loss 1.2318
epoch 0 0.9738 4.0820
Train worker alice: [0/2] loss 1.1085
Train worker bob: [0/2] loss 1.1147
Train worker alice: [0/1] loss 1.0461
Train worker bob: [0/1] loss 1.0897
epoch 1 0.9380 4.1062
round 0 alice loss 1.1018
round 0 bob loss 1.0978
round 0 0.9860 4.2524
round 1 alice loss 1.0505
round 1 bob loss 1.0309
round 1 1.0865 4.5363
alice 0.1670 22 24 [9. 9. 6.] [8. 8. 8.]
bob 0.1664 18 24 [12.  9.  3.] [8. 8. 8.]
""".strip().splitlines()
NAMES = ("alice", "bob")
EMPTY = "0 {} <WebsocketClientWorker id:%s #objects local:0 #objects remote: 0>"


def lines_of(text):
    pointer, tags, shape, description, *lines = printed(text).splitlines()
    assert pointer == "(Wrapper)>[PointerTensor | me:# -> alice:#]"
    assert sorted(tags.split()) == ["#numbers", "#x", "Tags:"]
    return [f"Tags: {shape.strip()} {description.strip()}", *lines]


def test_federated_digits(run, servers):
    """Every line is real syft 0.2.4's; those of workers in one process are the same."""
    text = program("websocket_digits")
    ports = [servers.start(text, "--serve", name, "--port") for name in ("alice", "bob")]
    near, far = run(text, "--use_virtual"), run(text, "--port", *ports)
    assert (near.returncode, far.returncode) == (0, 0), near.stderr + far.stderr
    assert lines_of(near.stdout) == TOLD
    assert lines_of(far.stdout) == [
        *TOLD[:3],
        "at alice: 2",
        *TOLD[3:],
        *(f"{name} {EMPTY % name}" for name in NAMES),
    ]
    for name, (status, said) in zip(NAMES, servers.stop()):
        assert said.splitlines() == [f"{name} has 24 images", "Serving. Press CTRL-C to stop."]
        assert status == 0 or syft_installed()


OPERATIONS = {
    "operators": lambda x, y: (-x + 2 * y - 1) / 4 @ y.t(),
    "methods": lambda x, y: (x.view(3, 2).mean(), y.abs().sum(1), x.pow(2).cumsum(0)),
    "indices": lambda x, y: (x[0], y[:, 1:], x[..., -1]),
    "functions": lambda x, y: torch.cat([x, y]).relu() + torch.stack([x, y]).sum(),
    "functional": lambda x, y: nn.functional.log_softmax(nn.functional.linear(x, y), dim=1),
    "in place": lambda x, y: x.add_(y).mul_(2),
    "several results": lambda x, y: torch.split(x, 1),
    "comparison": lambda x, y: x > y,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations(name, far):
    torch.manual_seed(0)
    x, y = torch.randn(2, 3), torch.randn(2, 3)
    there = fetch(OPERATIONS[name](x.clone().send(far), y.clone().send(far)))
    assert same(there, OPERATIONS[name](x, y))


def test_what_lies_at_the_server(far, sy):
    before = count_there(far)
    x = torch.tensor([1.0, 2.0]).tag("#sent").send(far)
    y = x + x
    assert count_there(far) == before + 2 and len(far._objects) == 0
    assert str(y.id_at_location) in far.list_objects_remote()
    assert y.get().tolist() == [2, 4]
    found = far.search(["#sent"])
    assert [printed(one) for one in found] == [printed(x)] and found[0].copy().get().tolist() == [1, 2]
    del x, y, found
    assert count_there(far) == before
    (held,) = sy.local_worker.request_search("#held", location=far)
    assert (held * 2).get().tolist() == [2, 4]


def test_a_model_learns_there_as_here(far):
    torch.manual_seed(1)
    here, x, y = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)), torch.randn(5, 2), torch.randn(5, 1)
    there = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    there.load_state_dict(here.state_dict())
    sides = []
    for model, where in ((here, None), (there, far)):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.01)
        data, target = (x, y) if where is None else (x.send(where), y.send(where))
        if where is not None:
            model.send(where)
        for _ in range(3):
            optimizer.zero_grad()
            ((model(data) - target) ** 2).mean().backward()
            optimizer.step()
        sides.append(model if where is None else model.get())
    for one, other in zip(*(side.parameters() for side in sides)):
        assert same(other.data, one.data)


def test_training_by_the_servers_own_data(far, sy):
    torch.manual_seed(0)
    x, y = torch.randn(6, 2), torch.randn(6, 1)
    model = nn.Linear(2, 1)
    sent = sy.TrainConfig(
        torch.jit.trace(model, x), squared, batch_size=2, shuffle=False, optimizer_args={"lr": 0.1}
    )
    sent.send(far)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for start in (0, 2, 4):
        optimizer.zero_grad()
        loss = squared(model(x[start : start + 2]), y[start : start + 2])
        loss.backward()
        optimizer.step()
    trained = far.fit(dataset_key="rows")
    assert torch.allclose(trained, loss, rtol=1e-5) and trained.requires_grad
    assert far.evaluate("rows", return_raw_accuracy=False)["loss"] == pytest.approx(
        sum(squared(model(x[start : start + 2]), y[start : start + 2]).item() for start in (0, 2, 4)) / 6, rel=1e-5
    )
    fetched = dict(sent.model_ptr.get().obj.named_parameters())
    assert all(torch.allclose(fetched[name], one, rtol=1e-5) for name, one in model.named_parameters())


def test_no_server(sy, hook):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError) as told:
        sy.WebsocketClientWorker(hook, "localhost", port, id="nobody")
    assert syft_installed() or str(told.value).endswith(
        f"no server answers at ws://localhost:{port}: start the worker nobody first"
    )


# The rest goes beyond 0.2.4.
@ours_only
def test_datasets_sent_to_the_server(far, sy):
    x, y = torch.arange(6.0).view(3, 2), torch.tensor([0, 1, 2])
    pointer = sy.BaseDataset(x, y).tag("#rows").send(far)
    assert pointer.data.get().tolist() == x.tolist() and (pointer.targets + 1).get().tolist() == [1, 2, 3]
    (found,) = far.search("#rows")
    data, target = found[1]
    assert (len(found), data.get().tolist(), target.get().item()) == (3, [2, 3], 1)
    assert found.get().data.tolist() == x.tolist()


@ours_only
def test_moves(far, bob):
    x = torch.tensor([1.0, 2.0]).send(far)
    before = count_there(far)
    x.move(bob)
    assert (x.location.id, (x + 1).get().tolist(), count_there(far)) == ("bob", [2, 3], before - 1)
    x.move(far)
    assert (count_there(far), x.get().tolist()) == (before, [1, 2])
    with pytest.raises(Exception, match="not on the same machine"):
        torch.ones(1).send(far) + torch.ones(1).send(bob)
