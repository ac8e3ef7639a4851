"""One suite for both stacks: `sy` is real PySyft 0.2.4 where it is installed, fl_simu.pointers elsewhere."""

import gc
import logging
import signal
import struct
import warnings

import numpy as np
import pytest
import torch
from serving import SERVER, Servers, environment_of

from fl_simu.kernel.installation import syft_installed


def import_syft():
    if not syft_installed():
        import fl_simu.pointers as sy

        return sy
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("tf_encrypted").setLevel(logging.ERROR)
        import syft as sy
    return sy


@pytest.fixture(scope="session")
def sy():
    module = import_syft()
    # The cases collect garbage often; freeze the existing objects, which belong to none of them.
    gc.freeze()
    return module


@pytest.fixture(scope="session")
def hook(sy):
    return sy.TorchHook(torch)


def fresh(sy, hook, name):
    worker = sy.VirtualWorker(hook, id=name)
    worker.clear_objects()
    worker._tag_to_object_ids.clear()
    return worker


@pytest.fixture
def bob(sy, hook):
    return fresh(sy, hook, "bob")


@pytest.fixture
def alice(sy, hook):
    return fresh(sy, hook, "alice")


@pytest.fixture(autouse=True)
def no_memory_of_other_calls(sy):
    """0.2.4 remembers the arguments of a function's first call, and drops those that a later call adds."""
    if syft_installed():
        from syft.generic.frameworks.hook import hook_args

        for name in ("method_args", "method_response", "args"):
            getattr(hook_args, f"hook_{name}_functions", {}).clear()
        hook_args.get_tensor_type_functions.clear()
        hook_args.register_response_functions.clear()


def runner(folder, process):
    """Runs a script by `exec` in its own folder, and waits for its end."""

    def start(text, *arguments, options=(), name="script.py"):
        (folder / name).write_text(text, encoding="utf-8")
        return process("exec", *options, name, *arguments)

    return start


@pytest.fixture
def run(tmp_path, fl_simu_forked):
    return runner(tmp_path, fl_simu_forked)


@pytest.fixture
def run_anew(tmp_path, fl_simu_process):
    """The same in a new interpreter."""
    return runner(tmp_path, fl_simu_process)


@pytest.fixture(scope="session")
def mnist(tmp_path_factory):
    """A folder of made-up images in MNIST's files."""
    folder = tmp_path_factory.mktemp("data") / "mnist"
    folder.mkdir()
    generator = np.random.RandomState(0)
    for name, size in (("train", 60000), ("t10k", 10000)):
        images = np.zeros((size, 28, 28), np.uint8)
        images[:100] = generator.randint(0, 256, (100, 28, 28))
        labels = generator.randint(0, 10, size).astype(np.uint8)
        header = struct.pack(">4I", 0x803, size, 28, 28)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, size) + labels.tobytes())
    return folder.parent


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
