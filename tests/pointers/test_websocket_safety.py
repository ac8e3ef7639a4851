"""Websocket workers: refusals, invalid messages, access control, and shutdown."""

import contextlib
import importlib.util
import math
import os
import random
import signal
import struct
import time

import pytest
import torch
from serving import SERVER, count_there
from torch import nn

from fl_simu.kernel.installation import syft_installed

pytestmark = [
    pytest.mark.skipif(syft_installed(), reason="fl_simu.pointers runs on torch 2.5 or newer"),
    pytest.mark.skipif(importlib.util.find_spec("websockets") is None, reason="needs the extra websockets"),
]


@torch.jit.script
def squared(pred, target):
    return ((target - pred) ** 2).mean()


def traced():
    return torch.jit.trace(nn.Linear(2, 1), torch.ones(1, 2))


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


@pytest.mark.parametrize("what", REFUSED)
def test_refused_in_one_sentence(what, sy, far, bob):
    with pytest.raises(NotImplementedError, match=r"^[^\n]+ is not covered by fl_simu\.pointers: [^\n]+$"):
        REFUSED[what](sy, far, bob)
    assert count_there(far) >= 2


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


def framed(text):
    """A message of this JSON."""
    return struct.pack(">I", len(text)) + text


BROKEN = {
    "text": "hello",
    "nothing": b"",
    "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "too long a length": b"\xff\xff\xff\xff{}",
    "no JSON": framed(b"abc"),
    "deep": framed(b"[" * 65536),
    "no tensors": framed(b"null") + b"junk",
    "an object": framed(b"{}"),
    "no request": framed(b"1"),
    "an unknown kind": framed(b'["eval","1"]'),
    "a function among named results": framed(b'["named",["inspect",["list",[]]]]'),
    "no torch dtype": framed(b'["dtype","os"]'),
}


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
        # A frame that claims a length of 2 GiB.
        stranger.socket.sendall(b"\x82\xff" + (2**31).to_bytes(8, "big") + bytes(4))
        stranger.recv(timeout=20)


FORBIDDEN = {"load", "save", "file", "compile", "jit", "hub", "pickle", "setstate", "deepcopy", "dlpack"}


def test_only_plain_functions_of_torch(hook):
    from fl_simu.pointers.functions import by_name

    names = by_name()
    known = {"torch.add", "torch.Tensor.add_", "torch.Tensor.__add__", "torch.Tensor.grad.__get__"}
    assert {*known, "torch.nn.functional.linear", "torch.native_dropout"} <= set(names)
    assert names["torch.Tensor.add_"] is torch.Tensor.add_ and names["torch.dropout"] is torch.dropout
    assert not [name for name in names if FORBIDDEN & set(name.rpartition("torch.Tensor.")[2].split("_"))]
    assert not [name for name in names if "native___" in name]


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


def test_a_client_ends_by_itself(run, port):
    done = run(CLIENT, "127.0.0.1", port)
    assert (done.returncode, done.stdout, done.stderr) == (0, "tensor([1., 1.])\n", "")


SERVER_AT = SERVER.replace('"127.0.0.1"', "sys.argv.pop(1)")


# Nothing listens at the first; the second is reserved for documentation.
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
