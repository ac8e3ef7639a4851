"""The syft backend: nothing leaks, and it refuses the cases that real 0.2.4 gets wrong."""

import gc
import os
import subprocess
import sys

import psutil
import pytest
import torch

from fl_simu.backends.syft_workers import Syft, SyftWorkers
from fl_simu.backends.torch_loop import TorchLoop
from fl_simu.kernel import installation
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.installation import syft_installed
from fl_simu.kernel.parameters import params_of, sha256
from fl_simu.models import Mlp, RowLstm
from fl_simu.ue.optimizers import Adagrad, Adam, Sgd
from fl_simu.ue.training import Key, LocalTraining, Shard, Task, initial_params

SHAPE, CLASSES = (1, 28, 28), 10
real_only = pytest.mark.skipif(not syft_installed(), reason="fl_simu.pointers gets it right")
WRONG = [
    ({"model": Mlp(batch_norm=True)}, "BatchNorm1d"),
    ({"model": RowLstm()}, "LSTM"),
    ({"optimizer": Adagrad()}, "optimizer adagrad"),
    ({"optimizer": Adam(amsgrad=True)}, "optimizer adam with amsgrad"),
]


def local_training(model=None, optimizer=None, **options):
    model, optimizer = model or Mlp((32,)), optimizer or Sgd(lr=0.1, momentum=0.9)
    options = {"batch_size": 16, **options}
    return LocalTraining(lambda: model.build(SHAPE, CLASSES), model.loss, optimizer, **options)


def one_round(backend, params, round, memories):
    backend.train([Task(Key(1, ue, round), params, memories.get(ue, {})) for ue in (0, 1)])
    trained = {ue: backend.get(ue) for ue in (0, 1)}
    memories.update((ue, one.memory) for ue, one in trained.items())
    return trained[0].params, trained[1].params


@pytest.mark.parametrize("keep", [False, True])
def test_nothing_grows_over_rounds(keep):
    local = local_training(keep_optimizer_state=keep)
    backend = SyftWorkers(local)
    images, labels = torch.randn(128, *SHAPE), torch.randint(0, CLASSES, (128,))
    for ue in (0, 1):
        backend.place(ue, Shard(images, labels, torch.arange(64) + 64 * ue))
    params, seen, memories = initial_params(local.make_module, 1), [], {}
    ids = backend._syft.ID_PROVIDER.generated
    # Freezing the existing objects keeps them out of sixty garbage collections.
    gc.freeze()
    for round in range(60):
        params = one_round(backend, params, round, memories)[0]
        gc.collect()
        seen.append((backend.objects(), len(ids), psutil.Process().memory_info().rss))
    gc.unfreeze()
    backend.close()
    assert all(objects == seen[0][0] for objects, _, _ in seen)
    # Every round draws as many ids as the one before, and forgets those of the round before that.
    assert len({count for _, count, _ in seen[1:]}) == 1
    grown = seen[-1][2] - seen[20][2]
    assert grown < 2**20, f"{grown} bytes in 40 rounds"


def test_workers_of_a_closed_backend_are_gone():
    local = local_training()
    for _ in range(2):
        backend = SyftWorkers(local)
        backend.place(0, Shard(torch.randn(8, *SHAPE), torch.randint(0, CLASSES, (8,)), torch.arange(8)))
        assert backend.objects() == {0: 2}
        known = backend._syft.local_worker._known_workers
        assert "ue0" in known
        backend.close()
        assert "ue0" not in known


def test_where_nobody_has_syft_it_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(installation, "whose_syft", lambda: "")
    with pytest.raises(UserError, match=r"needs syft 0\.2\.4, or torch 2; use backend = 'torch'") as refusal:
        Syft().build(local_training())
    assert "\n" not in str(refusal.value)


@real_only
@pytest.mark.parametrize("wrong, named", WRONG)
def test_what_syft_gets_wrong_is_refused_in_one_line(wrong, named):
    with pytest.raises(UserError, match=named) as refusal:
        Syft().build(local_training(**wrong))
    assert "\n" not in str(refusal.value)
    assert "use backend = 'torch'" in str(refusal.value)


@pytest.mark.skipif(syft_installed(), reason="refused, as above")
@pytest.mark.parametrize("wrong, named", WRONG)
def test_what_syft_gets_wrong_is_right_on_our_pointers(wrong, named):
    local, data = local_training(**wrong), Shard(torch.randn(64, *SHAPE), torch.randint(0, CLASSES, (64,)), None)
    trained = []
    for backend in (SyftWorkers(local), TorchLoop(local)):
        for ue in (0, 1):
            backend.place(ue, data._replace(indices=torch.arange(32) + 32 * ue))
        params, memories = initial_params(local.make_module, 1), {}
        for round in range(2):
            params = one_round(backend, params, round, memories)[1]
        trained.append(sha256(params))
        backend.close()
    assert trained[0] == trained[1], named


@real_only
def test_syft_itself_loses_the_running_maximum_of_amsgrad():
    """The reason for one of the refusals: pointers and tensors get out of step."""
    code = (
        "import torch, syft\n"
        "hook = syft.TorchHook(torch); worker = syft.VirtualWorker(hook, id='w')\n"
        "def train(remote):\n"
        "    torch.manual_seed(1); model = torch.nn.Linear(2, 1); x = torch.randn(4, 2)\n"
        "    optimizer = torch.optim.Adam(model.parameters(), lr=0.1, amsgrad=True)\n"
        "    if remote: model.send(worker); x = x.send(worker)\n"
        "    for _ in range(3):\n"
        "        optimizer.zero_grad(); (model(x) ** 2).sum().backward(); optimizer.step()\n"
        "    return (model.get() if remote else model).weight.tolist()\n"
        "print(train(True) == train(False))\n"
    )
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], env=environment, stdout=subprocess.PIPE)
    assert done.stdout.decode().split()[-1:] == ["False"]


def test_a_module_built_after_hooking_starts_from_the_same_weights():
    local = local_training()
    SyftWorkers(local)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        here = params_of(local.make_module())
    code = (
        "import torch, sys; from fl_simu.models import Mlp; from fl_simu.kernel.parameters import *\n"
        "torch.manual_seed(3); sys.stdout.write(sha256(params_of(Mlp((32,)).build((1, 28, 28), 10))))"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert done.stdout.decode() == sha256(here)
