"""The Ray backend: it does not matter which actor trains, in which order, or which one is killed."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from fl_simu.backends import ray_actors, side_by_side
from fl_simu.backends.flat import pack, unpack
from fl_simu.backends.ray_actors import Ray
from fl_simu.backends.ray_leftovers import PREFIX, remove_dead
from fl_simu.backends.torch_loop import Torch
from fl_simu.cli.app import main
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.parameters import sha256
from fl_simu.models import Mlp
from fl_simu.results.files import alone_in
from fl_simu.ue.training import Key, Task, initial_params
from tests.trained_apart import CNN, SEED, local_training, placed, two_rounds


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("model", [CNN, Mlp((16,), batch_norm=True)], ids=["cnn", "batch norm"])
def test_neither_the_number_of_actors_nor_the_order_matters(model, one_thread, running_ray):
    wanted = two_rounds(Torch(), model=model)
    assert two_rounds(Ray(actors=1), model=model) == wanted
    assert two_rounds(Ray(actors=2), order=[5, 0, 7, 1, 6, 2, 4, 3], model=model) == wanted


def test_a_killed_actor_changes_nothing(one_thread, running_ray, caplog):
    # Long enough that the actor is killed before it is done.
    wanted = two_rounds(Torch(exact=True), epochs=4)

    def kill(backend):
        running_ray.kill(backend._hands[0]._actor, no_restart=True)

    with caplog.at_level(logging.WARNING):
        assert two_rounds(Ray(actors=2, exact=True), meanwhile=kill, epochs=4) == wanted
    (told,) = [record.getMessage() for record in caplog.records if record.name == side_by_side.__name__]
    assert "an actor was lost (" in told and "); done again: UE " in told
    assert len(told.splitlines()) == 1


def trained(what):
    """One UE's model, with a loss that ends its process ("leave"), that fails, or that cannot be sent to it."""
    held = threading.Lock() if what == "lock" else None

    # Inside a function: actors cannot import this file.
    def loss(output, labels):
        if what == "leave":
            os._exit(1)
        raise ZeroDivisionError("of this loss", held)

    spec = Ray(actors=1)
    local = local_training(spec, loss)
    backend = placed(spec, local)
    backend.train([Task(Key(SEED, 0, 0), initial_params(local.make_module, SEED), {})])
    try:
        return backend.get(0)
    finally:
        backend.close()


def test_an_end_after_some_tries(running_ray, monkeypatch):
    monkeypatch.setattr(side_by_side, "TRIES", 2)
    with pytest.raises(UserError, match="2 actors were lost over UE 0: ") as refusal:
        trained("leave")
    assert len(str(refusal.value).splitlines()) == 1


def test_an_error_of_the_training_is_raised_here(running_ray):
    with pytest.raises(ZeroDivisionError, match="of this loss"):
        trained("fail")


def test_no_actor_can_be_started(running_ray, monkeypatch):
    monkeypatch.setattr(side_by_side, "TRIES", 1)
    monkeypatch.setattr(torch, "__version__", "2.elsewhere")
    with pytest.raises(UserError, match=r"no actor can be started: RuntimeError: torch .*, 2\.elsewhere here$"):
        trained("fail")


def test_what_cannot_be_sent_to_an_actor_is_told(running_ray):
    with pytest.raises(UserError, match="no actor can be started: "):
        trained("lock")


def test_more_actors_than_cores_are_refused(running_ray):
    spec = Ray(actors=3)
    with pytest.raises(UserError, match=r"backend.actors = 3 is not allowed: .* 2 cores"):
        placed(spec, local_training(spec))


def test_flat_arrays_keep_shapes_dtypes_and_order():
    params = {
        "weight": torch.randn(3, 2),
        "batches": torch.tensor(2**40 + 1),
        "half": torch.randn(2, 2).half(),
        "empty": torch.empty(0, 4),
        "bias": torch.randn(5),
    }
    flat = pack(params)
    sizes = {dtype: array.shape for dtype, array in flat.arrays.items()}
    assert sizes == {torch.float32: (11,), torch.int64: (1,), torch.float16: (4,)}
    np.testing.assert_array_equal(flat.arrays[torch.float32][:6], params["weight"].numpy().reshape(-1))
    assert list(unpack(flat)) == list(params)
    assert sha256(unpack(flat)) == sha256(params)


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_a_run_and_its_resumption_end_with_the_model_of_torch(small, running_ray, tmp_path):
    assert main(["run", str(small), "--out", str(tmp_path / "torch")]) == 0
    ours = ["--backend", "ray", "--set", "backend.actors=1", "--rounds", "1"]
    assert main(["run", str(small), "--out", str(tmp_path / "ray"), *ours]) == 0
    assert main(["run", "--resume", str(tmp_path / "ray"), "--rounds", "2"]) == 0
    assert summary(tmp_path / "ray")["backend"] == "ray"
    assert summary(tmp_path / "ray")["model_sha256"] == summary(tmp_path / "torch")["model_sha256"]


def test_a_process_joins_a_cluster_and_leaves_it_running(small, running_ray, tmp_path, fl_simu_process):
    address = running_ray.get_runtime_context().gcs_address
    options = ["--out", tmp_path / "ray", "--backend", "ray", "--address", address, "--set", "backend.actors=1"]
    done = fl_simu_process("run", small, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert main(["run", str(small), "--out", str(tmp_path / "torch")]) == 0
    assert summary(tmp_path / "ray")["model_sha256"] == summary(tmp_path / "torch")["model_sha256"]
    assert running_ray.get(running_ray.put(3)) == 3


ALONE = """
import os, psutil, torch
from functools import partial
from fl_simu.backends.ray_actors import Ray
from fl_simu.models import LogisticRegression
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.training import Key, LocalTraining, Shard, Task, initial_params

model = LogisticRegression()
local = LocalTraining(partial(model.build, (1, 28, 28), 10), model.loss, Sgd())
backend = Ray(actors=1).build(local)
backend.place(0, Shard(torch.randn(20, 1, 28, 28), torch.zeros(20, dtype=torch.int64), torch.arange(20)))
backend.train([Task(Key(1, 0, 0), initial_params(local.make_module, 1), {})])
backend.get(0)
folder, children = backend._cluster._folder, psutil.Process().children(recursive=True)

def listening_at(process):
    try:
        connections = getattr(process, "net_connections", process.connections)()
    except psutil.NoSuchProcess:
        # Ray starts some processes for a moment only.
        return []
    return [one.laddr.ip for one in connections if one.status == psutil.CONN_LISTEN]

listening = [address for child in children for address in listening_at(child)]
addresses = sorted({address.replace("::ffff:", "") for address in listening})
print(addresses, oct(os.stat(folder).st_mode), len(children) > 2)
backend.close()
print(psutil.wait_procs(children, timeout=20)[1], os.path.exists(folder))
"""


def test_a_ray_of_its_own_listens_on_loopback_only_and_leaves_nothing(running_ray, fl_simu_process):
    done = fl_simu_process(python=("-c", ALONE))
    assert done.stdout.splitlines() == ["['127.0.0.1'] 0o40700 True", "[] False"], done.stderr
    assert done.stderr == ""
    assert running_ray.is_initialized()


def test_what_a_killed_ray_left_is_removed_and_what_runs_is_not(tmp_path):
    dead, alive, others = (tmp_path / (PREFIX + name) for name in ("dead", "alive", "new"))
    for folder in (dead, alive):
        (folder / "r").mkdir(parents=True)
    others.mkdir()
    # An agent renames itself; the log that it holds open identifies it.
    code = "import sys, time; log = open(sys.argv[2], 'w'); print('ready', flush=True); time.sleep(60)"
    agents = [
        subprocess.Popen(
            [sys.executable, "-c", code, "ray::agent", str(folder / "r" / "log")], stdout=subprocess.PIPE
        )
        for folder in (dead, alive)
    ]
    try:
        assert [agent.stdout.read(5) for agent in agents] == [b"ready"] * 2
        with alone_in(alive):
            remove_dead(tmp_path)
        assert agents[0].wait(timeout=10) == -signal.SIGKILL
        assert agents[1].poll() is None
        assert [folder.exists() for folder in (dead, alive, others)] == [False, True, True]
    finally:
        for agent in agents:
            agent.kill()
            agent.wait()
            agent.stdout.close()


def test_an_object_store_without_room_is_told(running_ray, monkeypatch):
    def put(value):
        raise running_ray.exceptions.ObjectStoreFullError("The object store is full.")

    monkeypatch.setattr(running_ray, "put", put)
    with pytest.raises(UserError, match=r"^backend ray: its object store has no room: .* is full.*: backend pro"):
        placed(Ray(actors=1), local_training(Ray()))


def test_an_unused_backend_starts_nothing(monkeypatch):
    pytest.importorskip("ray", reason="needs the extra ray")
    monkeypatch.setattr(ray_actors, "Cluster", None)
    spec = Ray()
    spec.build(local_training(spec)).close()
