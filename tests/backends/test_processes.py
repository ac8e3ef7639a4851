"""Worker processes: their number, order and end do not matter, and no process or memory is left."""

import errno
import json
import logging
import mmap
import os
import resource
import signal
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from children import command_of_a_group

from fl_simu.backends import processes, side_by_side
from fl_simu.backends.processes import Processes
from fl_simu.backends.syft_workers import Syft
from fl_simu.backends.torch_loop import Torch
from fl_simu.cli.app import main
from fl_simu.kernel.errors import UserError
from fl_simu.models import Mlp
from fl_simu.ue.optimizers import Sgd
from fl_simu.ue.training import Key, Task, initial_params
from tests.trained_apart import CLASSES, CNN, SEED, UES, local_training, placed, two_rounds


@pytest.fixture(autouse=True)
def nurseries(monkeypatch):
    """One thread, as in a worker; no process is left behind."""
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
    # Workers end by themselves if their nursery is gone.
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
    """The process ids of a backend's nursery and its workers, once there are this many workers."""
    nursery = backend._nursery
    while len(nursery.workers) < count:
        time.sleep(0.01)
    return nursery.process, list(nursery.workers.values())


@pytest.mark.parametrize("who", ["worker", "nursery"])
def test_a_killed_process_changes_nothing(who, caplog):
    # Long enough that the worker is killed before it is done.
    wanted = two_rounds(Torch(exact=True), epochs=4)

    def kill(backend):
        nursery, workers = workers_of(backend, 2)
        os.kill(workers[0] if who == "worker" else nursery, signal.SIGKILL)

    with caplog.at_level(logging.WARNING):
        assert two_rounds(Processes(workers=2, exact=True), meanwhile=kill, epochs=4) == wanted
    told = [record.getMessage() for record in caplog.records if record.name == side_by_side.__name__]
    assert len(told) == (who == "worker")
    assert all(
        "a worker was lost (killed by SIGKILL); done again: UE " in line and len(line.splitlines()) == 1
        for line in told
    )


TEBIBYTE = {
    "python": lambda: bytearray(2**40),
    "numpy": lambda: np.zeros(2**40, np.uint8),
    "torch": lambda: torch.zeros(2**40, dtype=torch.uint8),
}


def trained(what):
    """One UE's model, with a loss that ends its process ("leave", a signal), asks for 1 TiB, or fails."""

    class Odd(Exception):
        def __init__(self, one, other):
            super().__init__(one)

    def loss(output, labels):
        if what == "leave":
            os._exit(1)
        if isinstance(what, int):
            os.kill(os.getpid(), what)
        if what in TEBIBYTE:
            resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40))
            TEBIBYTE[what]()
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
    with pytest.raises(UserError, match=r"3 workers were lost over UE 0: its process has ended with status 1$"):
        trained("leave")


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
    """Even if it would train for a long time."""
    spec = Processes(workers=2)
    local = local_training(spec, epochs=10**6)
    backend = placed(spec, local)
    backend.train([Task(Key(SEED, ue, 0), initial_params(local.make_module, SEED), {}) for ue in range(2)])
    began_s = time.perf_counter()
    backend.close()
    assert time.perf_counter() - began_s < 5


def train_for_ever(line):
    """Let workers train, and report their process ids."""
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


@pytest.mark.parametrize(
    "what, told",
    [
        ("python", r"out of memory over UE 0: MemoryError"),
        ("numpy", r"out of memory over UE 0: .*Unable to allocate 1\.00 TiB .*"),
        ("torch", r"out of memory over UE 0: .*can't allocate memory: .* 1099511627776 bytes.*"),
        (signal.SIGKILL, r"3 workers were lost over UE 0: killed by SIGKILL \(out of memory\?\)"),
        (signal.SIGBUS, r"3 workers were lost over UE 0: killed by SIGBUS \(out of memory\?\)"),
    ],
)
def test_a_worker_without_memory_is_told_with_what_helps(what, told):
    helps = r": fewer workers \(backend\.workers\) or a smaller training\.batch_size take less"
    with pytest.raises(UserError, match=f"^backend processes: {told}{helps}$"):
        trained(what)


def refused(*broken, workers=2):
    """The error message if the system refuses a resource."""
    spec = Processes(workers=workers)
    local = local_training(spec)
    backend = placed(spec, local)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(UserError) as refusal:
        patch.setattr(*broken)
        try:
            backend.train([Task(Key(SEED, 0, 0), initial_params(local.make_module, SEED), {})])
            backend.get(0)
        finally:
            backend.close()
    return str(refusal.value)


def no_room(error, left=0):
    """A function of os that fails after this many calls, with the kernel's error."""
    real, calls = os.fork, []

    def fails(*_):
        calls.append(None)
        if len(calls) > left:
            raise OSError(error, os.strerror(error))
        return real()

    return fails


def test_a_process_or_a_thread_that_the_system_refuses_is_told_and_nothing_is_left(caplog):
    said = refused(os, "fork", no_room(errno.EAGAIN))
    assert said == (
        "backend processes: no process can be forked: Resource temporarily unavailable: backend torch needs none"
    )
    # The nursery has a copy of the count, so the second fork fails, which is that of a worker.
    assert refused(os, "fork", no_room(errno.ENOMEM, left=1), workers=1) == (
        "backend processes: no worker can be started: Cannot allocate memory: "
        "fewer workers (backend.workers) may have room"
    )
    assert not caplog.records

    def thread(*_):
        raise RuntimeError("can't start new thread")

    assert refused(threading.Thread, "start", thread) == (
        "backend processes: no worker can be started: can't start new thread: "
        "fewer workers (backend.workers) may have room"
    )


def test_shared_memory_that_the_system_refuses_is_told():
    # Four boxes of eight models of 1,199,882 numbers.
    assert refused(mmap, "mmap", no_room(errno.ENOMEM)) == (
        "backend processes: this process cannot share 154 MB of memory with each of 2 workers: Cannot allocate "
        "memory: fewer workers (backend.workers), a smaller model, or backend torch need less"
    )


def test_one_worker_that_cannot_be_started_leaves_the_others_at_work(monkeypatch, caplog):
    wanted = two_rounds(Torch())
    monkeypatch.setattr(os, "fork", no_room(errno.EAGAIN, left=2))
    assert two_rounds(Processes(workers=2)) == wanted
    (told,) = [record.getMessage() for record in caplog.records if record.name == side_by_side.__name__]
    assert told == (
        "backend processes: one worker fewer, which cannot be started: Resource temporarily unavailable"
    )


# In a worker it requests more memory than there is, or waits, as long as a file says so.
TROUBLED = """
import os, resource, time
import torch
from torch import nn

class Troubled(nn.Linear):
    def __init__(self, shape, classes):
        super().__init__(shape[1] * shape[2], classes)

    def forward(self, images):
        if os.path.exists("memory"):
            resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40))
            torch.zeros(2**40, dtype=torch.uint8)
        while os.path.exists("wait"):
            open("waiting", "w").close()
            time.sleep(0.01)
        return super().forward(images.flatten(1))
"""


@pytest.mark.parametrize(
    "inner, troubles", [("torch", ["memory", signal.SIGINT]), ("syft", [signal.SIGTERM, signal.SIGINT])]
)
def test_a_run_in_trouble_ends_in_a_line_leaves_nothing_and_goes_on(
    inner, troubles, small, tmp_path, environment, forked
):
    (tmp_path / "own.py").write_text(TROUBLED)
    whole, folder = tmp_path / "whole", tmp_path / "run"
    own = ["--set", "model.name=own.py:Troubled"]
    assert main(["run", str(small), *own, "--out", str(whole)]) == 0

    backend = f"backend={{ name = 'processes', workers = 2, inner = '{inner}', exact = true }}"
    arguments = ["run", str(small), *own, "--set", backend.replace("'", '"'), "--out", str(folder)]
    for trouble in troubles:
        wait, waiting = tmp_path / "wait", tmp_path / "waiting"
        (tmp_path / "memory" if trouble == "memory" else wait).touch()
        said, complained = tmp_path / "said", tmp_path / "complained"
        given = arguments, str(tmp_path), environment, str(said), str(complained)
        child = forked.Process(target=command_of_a_group, args=given)
        child.start()
        if trouble != "memory":
            while not waiting.exists():
                assert child.is_alive(), complained.read_text()
                time.sleep(0.005)
            # As a terminal and a batch system do, the signal goes to the command and all its child processes.
            os.killpg(child.pid, trouble)
        child.join(60)
        (line,) = complained.read_text().strip().splitlines()
        if trouble == "memory":
            assert line.startswith("fl_simu: backend processes: out of memory over ")
        else:
            assert line == "fl_simu: stopped"
            assert f"run --resume {folder}" in said.read_text()
        assert child.exitcode == (2 if trouble == "memory" else 128 + trouble)
        assert not [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(tmp_path)]
        for file in (tmp_path / "memory", wait, waiting):
            if file.exists():
                file.unlink()
        arguments = ["run", "--resume", str(folder)]
    assert main(arguments) == 0
    hashes = [json.loads((one / "summary.json").read_text())["model_sha256"] for one in (whole, folder)]
    assert hashes[0] == hashes[1]


def in_range(address, written):
    start, end = (int(number, 16) for number in written.split("-"))
    return start <= address < end


def test_the_kernel_ends_a_worker_before_the_run_and_no_mount_limits_what_they_share():
    spec = Processes(workers=1)
    local = local_training(spec)
    backend = placed(spec, local)
    backend.train([Task(Key(SEED, 0, 0), initial_params(local.make_module, SEED), {})])
    backend.get(0)
    nursery, (worker,) = workers_of(backend, 1)
    own, of_nursery, of_worker = (
        int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for pid in (os.getpid(), nursery, worker)
    )
    box = backend._hands[0]._boxes.inward[0]._memory.ctypes.data
    maps = [line.split() for line in Path(f"/proc/{worker}/maps").read_text().splitlines()]
    (device,) = [one[3] for one in maps if in_range(box, one[0])]
    backend.close()
    assert (of_nursery, of_worker) == (own, min(1000, own + 500))
    # Anonymous memory is on no mounted file system, whose size could limit it.
    mounted = {line.split()[2] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    assert ":".join(str(int(part, 16)) for part in device.split(":")) not in mounted
