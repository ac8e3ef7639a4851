"""What is special about worker processes: their number, order and end do not matter; nothing is left."""

import logging
import os
import signal
import time

import psutil
import pytest
import torch

from fl_simu.backends import processes, side_by_side
from fl_simu.backends.processes import Processes
from fl_simu.backends.syft_workers import Syft
from fl_simu.backends.torch_loop import Torch
from fl_simu.kernel.errors import UserError
from fl_simu.models import Mlp
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.training import Key, Task, initial_params
from tests.trained_apart import CLASSES, CNN, SEED, UES, local_training, placed, two_rounds


@pytest.fixture(autouse=True)
def nurseries(monkeypatch):
    """One thread as in a worker; and no process is left behind."""
    threads, nurseries = torch.get_num_threads(), []
    torch.set_num_threads(1)
    made = processes.Nursery

    def noted(*arguments):
        nurseries.append(made(*arguments))
        return nurseries[-1]

    monkeypatch.setattr(processes, "Nursery", noted)
    yield nurseries
    torch.set_num_threads(threads)
    left = [pid for nursery in nurseries for pid in (nursery.process, *nursery.workers.values())]
    until_s = time.monotonic() + 5
    # Without their nursery workers end by themselves.
    while any(map(psutil.pid_exists, left)) and time.monotonic() < until_s:
        time.sleep(0.01)
    assert not any(map(psutil.pid_exists, left))


@pytest.mark.parametrize("model", [CNN, Mlp((16,), batch_norm=True)], ids=["cnn", "batch norm"])
def test_neither_the_number_of_workers_nor_the_order_matters(model):
    wanted = two_rounds(Torch(), model=model)
    assert two_rounds(Processes(workers=1), model=model) == wanted
    assert two_rounds(Processes(workers=3), order=[5, 0, 7, 1, 6, 2, 4, 3], model=model) == wanted


def test_workers_that_train_by_pointers_give_the_model_of_one_that_does():
    options = {"optimizer": Sgd(lr=0.1, momentum=0.9), "model": Mlp((16,))}
    wanted = two_rounds(Syft(), **options)
    assert two_rounds(Processes(workers=2, inner="syft"), **options) == wanted
    assert two_rounds(Torch(exact=True), **options) == wanted


def workers_of(backend, count):
    """The numbers of the nursery of a backend and of its workers, as soon as they are so many."""
    nursery = backend._nursery
    while len(nursery.workers) < count:
        time.sleep(0.01)
    return nursery.process, list(nursery.workers.values())


@pytest.mark.parametrize("who", ["worker", "nursery"])
def test_a_killed_process_changes_nothing(who, caplog):
    # Long enough for the worker not to be done before it is dead.
    wanted = two_rounds(Torch(exact=True), epochs=4)

    def kill(backend):
        nursery, workers = workers_of(backend, 2)
        os.kill(workers[0] if who == "worker" else nursery, signal.SIGKILL)

    with caplog.at_level(logging.WARNING):
        assert two_rounds(Processes(workers=2, exact=True), meanwhile=kill, epochs=4) == wanted
    told = [record.getMessage() for record in caplog.records if record.name == side_by_side.__name__]
    assert len(told) == (who == "worker")
    assert all(
        "a worker was lost (its process has ended); done again: UE " in line and len(line.splitlines()) == 1
        for line in told
    )


def trained(what):
    """One UE's model, with a loss that ends its process ("leave"), or fails with an error."""

    class Odd(Exception):
        def __init__(self, one, other):
            super().__init__(one)

    def loss(output, labels):
        if what == "leave":
            os._exit(1)
        raise Odd("no pipe carries it", 1) if what == "odd" else ZeroDivisionError("of this loss")

    spec = Processes(workers=1)
    local = local_training(spec, loss)
    backend = placed(spec, local)
    backend.train([Task(Key(SEED, 0, 0), initial_params(local.make_module, SEED), {})])
    try:
        return backend.get(0)
    finally:
        backend.close()


def test_an_end_after_three_workers():
    with pytest.raises(UserError, match="3 workers were lost over UE 0 ") as refusal:
        trained("leave")
    assert len(str(refusal.value).splitlines()) == 1


def test_an_error_of_the_training_is_raised_here_with_where_it_was():
    with pytest.raises(ZeroDivisionError, match="of this loss") as raised:
        trained("fail")
    assert "in loss" in str(raised.value.__cause__)
    with pytest.raises(RuntimeError, match="Odd: no pipe carries it"):
        trained("odd")


def test_a_model_that_is_larger_than_the_boxes_comes_by_the_pipe(monkeypatch):
    wanted = two_rounds(Torch(), model=Mlp((16,)))
    monkeypatch.setattr("fl_simu.backends.processes.BOX_BYTES", 1)
    monkeypatch.setattr("fl_simu.backends.processes.BOX_MODELS", 0)
    assert two_rounds(Processes(workers=1), model=Mlp((16,))) == wanted


def test_measures_of_a_model_are_told_in_order_while_others_train_and_whoever_is_killed():
    spec = Processes(workers=2)
    local = local_training(spec, epochs=2)
    backend = placed(spec, local)
    backend.measuring = lambda params, item: (item, float(list(params.values())[-1].double().sum()))
    params = initial_params(local.make_module, SEED)
    backend.train([Task(Key(SEED, ue, 0), params, {}) for ue in range(UES)])
    first = backend.measure(params, list(range(50)))
    os.kill(workers_of(backend, 2)[1][0], signal.SIGKILL)
    other = {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in params.items()}
    second, before = backend.measure(other, ["last"]), float(list(params.values())[-1].double().sum())
    assert first() == [(item, before) for item in range(50)]
    assert second() == [("last", pytest.approx(before + CLASSES))]
    assert len([backend.get(ue) for ue in range(UES)]) == UES
    backend.close()


def test_an_unused_backend_starts_nothing(nurseries):
    spec = Processes()
    backend = placed(spec, local_training(spec))
    assert not nurseries
    backend.close()


def test_a_busy_worker_ends_at_once():
    """Also one that would train for long."""
    spec = Processes(workers=2)
    local = local_training(spec, epochs=10**6)
    backend = placed(spec, local)
    backend.train([Task(Key(SEED, ue, 0), initial_params(local.make_module, SEED), {}) for ue in range(2)])
    began_s = time.perf_counter()
    backend.close()
    assert time.perf_counter() - began_s < 5


def train_for_ever(line):
    """Let workers train, and tell who they are."""
    spec = Processes(workers=2)
    local = local_training(spec, epochs=10**6)
    backend = placed(spec, local)
    backend.train([Task(Key(SEED, ue, 0), initial_params(local.make_module, SEED), {}) for ue in range(4)])
    nursery, workers = workers_of(backend, 2)
    line.send([nursery, *workers])
    backend.get(0)


def test_with_a_killed_run_all_of_its_processes_end(forked):
    here, there = forked.Pipe(duplex=False)
    child = forked.Process(target=train_for_ever, args=(there,))
    child.start()
    workers = [psutil.Process(pid) for pid in here.recv()]
    assert len(workers) == 3
    child.kill()
    child.join()
    assert psutil.wait_procs(workers, timeout=5)[1] == []
