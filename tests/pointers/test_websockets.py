"""Workers in other processes: the same answers as from real syft 0.2.4's, and from workers of this process."""

import contextlib
import gc
import importlib.util
import math
import os
import random
import signal
import socket
import struct
import time

import pytest
import torch
from children import command
from pointer_suite import fetch, printed, same
from test_exec import program
from torch import nn

from fl_simu.kernel.installation import syft_installed

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("websockets") is None, reason="needs the extra websockets"
)
ours_only = pytest.mark.skipif(syft_installed(), reason="fl_simu.pointers runs on torch 2.5 or newer")
SERVER = """
import sys
import syft as sy
import torch
from syft.workers.websocket_server import WebsocketServerWorker

hook = sy.TorchHook(torch)
held = [torch.tensor([1.0, 2.0]).tag("#held"), torch.tensor([3.0])]
server = WebsocketServerWorker(hook, "127.0.0.1", int(sys.argv[1]), id="far", data=held)
torch.manual_seed(0)
server.add_dataset(sy.BaseDataset(torch.randn(6, 2), torch.randn(6, 1)), key="rows")
server.start()
print("stopped")
"""


@torch.jit.script
def squared(pred, target):
    return ((target - pred) ** 2).mean()


def traced():
    return torch.jit.trace(nn.Linear(2, 1), torch.ones(1, 2))


def count_there(client):
    """Number of objects at the server, once cycles are gone."""
    gc.collect()
    return client.objects_count_remote()


class Servers:
    """Scripts that serve, each in a process of its own."""

    def __init__(self, forked, folder, environment):
        self.forked, self.folder, self.environment, self.processes = forked, folder, environment, []

    def start(self, text, *arguments):
        """Start one; its port comes last among its arguments."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        script, said = (self.folder / f"server{len(self.processes)}.{kind}" for kind in ("py", "txt"))
        script.write_text(text)
        given = ["exec", str(script), *map(str, arguments), str(port)]
        process = self.forked.Process(target=command, args=(given, str(self.folder), self.environment, str(said)))
        process.start()
        self.processes.append((process, said))
        end = time.monotonic() + 60
        while "Serving." not in (said.read_text() if said.exists() else ""):
            assert process.is_alive() and time.monotonic() < end, said.read_text()
            time.sleep(0.01)
        return port

    def stop(self, number=signal.SIGINT):
        """End all; returns their exit statuses and what they said."""
        for process, _ in self.processes:
            if process.is_alive():
                os.kill(process.pid, number)
            process.join(20)
        return [(process.exitcode, said.read_text()) for process, said in self.processes]


def environment_of(folder):
    changed = dict(
        os.environ, PYTHONPATH=os.environ.get("PYTHONPATH", ""), OMP_NUM_THREADS="1", PYTHONWARNINGS="ignore"
    )
    changed["XDG_CACHE_HOME"] = str(folder)
    return changed


@pytest.fixture
def servers(forked, tmp_path):
    servers = Servers(forked, tmp_path, environment_of(tmp_path))
    yield servers
    servers.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def port(forked, tmp_path_factory):
    """The port of a server that these tests share."""
    folder = tmp_path_factory.mktemp("server")
    servers = Servers(forked, folder, environment_of(folder))
    yield servers.start(SERVER)
    servers.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def far(sy, hook, port):
    return sy.WebsocketClientWorker(hook, "127.0.0.1", port, id="far")


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


# From here on what 0.2.4 does not do.
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


REFUSED = {
    "a pointer": lambda sy, far, bob: torch.ones(2).send(bob).send(far),
    "a secret": lambda sy, far, bob: torch.ones(2).fix_precision().share(bob, far),
    "fixed precision there": lambda sy, far, bob: torch.ones(2).send(far).fix_precision(),
    "a hook": lambda sy, far, bob: torch.ones(2).send(far).register_hook(print),
    "what is no tensor there": lambda sy, far, bob: torch.ones(2).send(far).untyped_storage(),
    "add_dataset": lambda sy, far, bob: far.add_dataset(sy.BaseDataset(torch.ones(2), torch.ones(2)), "more"),
    "a model that is not traced": lambda sy, far, bob: sy.TrainConfig(nn.Linear(2, 1), squared).send(far),
    "a loss that is not scripted": lambda sy, far, bob: sy.TrainConfig(traced(), nn.functional.mse_loss).send(far),
    "secure": lambda sy, far, bob: sy.WebsocketClientWorker(None, "localhost", 1, secure=True),
    "certificates": lambda sy, far, bob: sy.WebsocketServerWorker(
        None, "localhost", 1, cert_path="a", key_path="b"
    ),
}


@ours_only
@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_one_sentence(what, sy, far, bob):
    with pytest.raises(NotImplementedError, match=r"^[^\n]+ is not covered by fl_simu\.pointers: [^\n]+$"):
        REFUSED[what](sy, far, bob)
    assert count_there(far) >= 2


@ours_only
def test_errors_of_the_server_arrive(sy, far):
    with pytest.raises(RuntimeError, match="must match the size"):
        torch.ones(2).send(far) + torch.ones(3).send(far)
    with pytest.raises(ValueError, match="Dataset nothing unknown"):
        config = sy.TrainConfig(traced(), squared)
        config.send(far)
        far.fit("nothing")
    pointer = torch.ones(2).send(far)
    far.clear_objects_remote()
    with pytest.raises(sy.exceptions.ObjectNotFoundError, match=str(pointer.id_at_location)):
        pointer + 1
    far.keep(torch.tensor([1.0, 2.0]).tag("#held"), 1)
    far.keep(torch.tensor([3.0]), 2)


BROKEN = {
    "text": "hello",
    "nothing": b"",
    "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "too long a length": b"\xff\xff\xff\xff{}",
    "no JSON": b"\x00\x00\x00\x03abc",
    "deep": b"\x00\x01\x00\x00" + b"[" * 65536,
    "no tensors": b"\x00\x00\x00\x04null" + b"junk",
    "an object": b"\x00\x00\x00\x02{}",
    "no request": b"\x00\x00\x00\x01" + b"1",
    "an unknown kind": b'\x00\x00\x00\x0c["eval","1"]',
    "a function among named results": struct.pack(">I", 32) + b'["named",["inspect",["list",[]]]]',
    "no torch dtype": b'\x00\x00\x00\x0e["dtype","os"]',
}


@ours_only
@pytest.mark.parametrize("what", BROKEN)
def test_what_is_no_message(what, far, port):
    from websockets.sync.client import connect

    from fl_simu.pointers import network
    from fl_simu.pointers.wire import unpacked

    with connect(f"ws://127.0.0.1:{port}", **network.OPTIONS) as stranger:
        stranger.send(BROKEN[what])
        answer = unpacked(stranger.recv(timeout=20))
    assert answer["number"] is None and answer["error"][0] == "Malformed"
    assert answer["error"][1].startswith("not a ")
    assert count_there(far) >= 2, "the server goes on"


@ours_only
def test_messages():
    from fl_simu.pointers.wire import At, Malformed, packed, unpacked

    plain = {
        "scalars": [None, True, 1, 2.5, math.inf, 1 + 2j, "x", b"y", ...],
        (1, 2): (slice(1, None), {3}, torch.Size([2, 0]), torch.float16, torch.device("cpu")),
        "at": At(5, ("grad",), torch.Size([3])),
        torch.contiguous_format: torch.strided,
    }
    assert unpacked(packed(plain)) == plain
    dtypes = (torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool, torch.complex64)
    tensors = [torch.arange(6).view(2, 3).t().to(dtype) for dtype in dtypes]
    tensors += [torch.empty(0, 2), torch.tensor(3), torch.ones(2, requires_grad=True)]
    for sent, come in zip(tensors, unpacked(packed(tensors))):
        assert torch.equal(come, sent) and (come.dtype, come.requires_grad) == (sent.dtype, sent.requires_grad)
    greatest = unpacked(packed(torch.tensor([[3.0, 1.0]]).max(1)))
    assert type(greatest) is torch.return_types.max and greatest.indices.item() == 0
    message, generator = packed([plain, *tensors]), random.Random(0)
    for _ in range(300):
        broken = bytearray(message)
        for _ in range(generator.randint(1, 8)):
            broken[generator.randrange(len(broken))] = generator.randrange(256)
        with contextlib.suppress(Malformed):
            unpacked(bytes(broken[: generator.randint(len(broken) // 2, len(broken))]))


@ours_only
def test_who_is_not_let_in(port):
    from websockets.exceptions import ConnectionClosed, InvalidHandshake
    from websockets.sync.client import connect

    from fl_simu.pointers import network, wire

    address = f"ws://127.0.0.1:{port}"
    for options in ({}, {**network.OPTIONS, "origin": "http://example.org"}):
        with pytest.raises(InvalidHandshake), connect(address, **options):
            pass
    assert wire.LONGEST_BYTES == 2**30
    with pytest.raises(ConnectionClosed), connect(address, **network.OPTIONS) as stranger:
        # A frame that says it is of 2 GiB.
        stranger.socket.sendall(b"\x82\xff" + (2**31).to_bytes(8, "big") + bytes(4))
        stranger.recv(timeout=20)


FORBIDDEN = {"load", "save", "file", "compile", "jit", "hub", "pickle", "setstate", "deepcopy", "dlpack"}


@ours_only
def test_only_plain_functions_of_torch(hook):
    from fl_simu.pointers.functions import by_name

    names = by_name()
    known = {"torch.add", "torch.Tensor.add_", "torch.Tensor.__add__", "torch.Tensor.grad.__get__"}
    assert {*known, "torch.nn.functional.linear", "torch.native_dropout"} <= set(names)
    assert names["torch.Tensor.add_"] is torch.Tensor.add_ and names["torch.dropout"] is torch.dropout
    assert not [name for name in names if FORBIDDEN & set(name.rpartition("torch.Tensor.")[2].split("_"))]
    assert not [name for name in names if "native___" in name]


@ours_only
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_server_is_stopped(number, servers, sy, hook):
    port = servers.start(SERVER)
    far = sy.WebsocketClientWorker(hook, "localhost", port, id="stopped")
    pointer = torch.ones(2).send(far)
    ((status, said),) = servers.stop(number)
    assert (status, said.splitlines()) == (0, ["Serving. Press CTRL-C to stop.", "stopped"])
    with pytest.raises(ConnectionError, match=rf"worker stopped at ws://localhost:{port} is closed"):
        pointer + 1
    with pytest.raises(ConnectionRefusedError, match="no server answers"):
        far.connect()


SLOW = SERVER.replace(
    "server.start()",
    """
class Slow:
    def __len__(self):
        return 10**6
    def __getitem__(self, index):
        import time
        time.sleep(0.01)
        return torch.ones(2), torch.ones(1)
server.add_dataset(Slow(), "slow")
server.start()""",
)
FITTING = """
import asyncio, sys
import syft as sy, torch
hook = sy.TorchHook(torch)
far = sy.WebsocketClientWorker(hook, "127.0.0.1", int(sys.argv[1]), id="far")

@torch.jit.script
def squared(pred, target):
    return ((target - pred) ** 2).mean()

config = sy.TrainConfig(torch.jit.trace(torch.nn.Linear(2, 1), torch.ones(1, 2)), squared)
config.send(far)
print("Serving.", flush=True)
asyncio.run(far.async_fit("slow")) if sys.argv[2] == "async" else far.fit("slow")
"""


@ours_only
@pytest.mark.parametrize("how", ["fit", "async"])
def test_both_sides_can_be_stopped_while_training(how, servers):
    port = servers.start(SLOW)
    servers.start(FITTING.replace("int(sys.argv[1])", str(port)).replace("sys.argv[2]", repr(how)))
    time.sleep(0.2)
    (server, served), (client, said) = servers.processes
    for process, status in ((client, 130), (server, 0)):
        assert process.is_alive(), said.read_text()
        os.kill(process.pid, signal.SIGINT)
        process.join(20)
        assert process.exitcode == status, said.read_text()
    assert said.read_text().splitlines()[-1] == "KeyboardInterrupt" and "Traceback" not in served.read_text()


CLIENT = """
import sys
import syft as sy, torch
from syft.workers import websocket_client
hook = sy.TorchHook(torch)
far = websocket_client.WebsocketClientWorker(hook, sys.argv[1], int(sys.argv[2]), id="far")
print(torch.ones(2).send(far).get())
"""


@ours_only
def test_a_client_ends_by_itself(run, port):
    done = run(CLIENT, "127.0.0.1", port)
    assert (done.returncode, done.stdout, done.stderr) == (0, "tensor([1., 1.])\n", "")


SERVER_AT = SERVER.replace('"127.0.0.1"', "sys.argv.pop(1)")


# Nobody answers at the first, and no machine has the second, which is for documentation.
@ours_only
@pytest.mark.parametrize(
    ("text", "host", "does"),
    [(CLIENT, "0.0.0.0", "connecting to"), (SERVER_AT, "192.0.2.1", "listening at")],
    ids=("client", "server"),
)
def test_other_machines_only_when_allowed(text, host, does, run):
    done = run(text, host, 1)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"fl_simu: {does} {host}:1 is not allowed: only 127.0.0.1, ::1 and localhost are, unless `fl_simu exec "
        "--allow-network` or fl_simu.pointers.allow_network() says otherwise"
    ]
    done = run(text, host, 1, options=["--allow-network"])
    assert done.returncode == 1 and "is not allowed" not in done.stderr and "Error" in done.stderr
