"""The backend that runs if none is named."""

import os

import pytest
from torch import nn

from fl_simu.backends import auto
from fl_simu.backends.auto import Auto
from fl_simu.backends.base import StepWork
from fl_simu.backends.processes import Processes
from fl_simu.backends.syft_workers import Syft
from fl_simu.backends.torch_loop import Torch
from fl_simu.kernel import machine
from fl_simu.kernel.errors import UserError
from fl_simu.models.cost import multiply_adds

MUCH, LITTLE = 10**9, 1000


@pytest.mark.parametrize(
    "real, here, work, wanted",
    [
        (False, 2, StepWork(MUCH, 2, 1), Processes()),
        (False, 2, StepWork(LITTLE, 2, 1), Torch()),
        (False, 1, StepWork(MUCH, 2, 1), Torch()),
        (False, 2, StepWork(MUCH, 1, 1), Torch()),
        (False, 2, StepWork(MUCH, 2, 4), Torch()),
        (True, 2, StepWork(LITTLE, 2, 1), Processes(inner="syft")),
        (True, 1, StepWork(MUCH, 2, 1), Syft()),
    ],
)
def test_all_cores_where_it_is_worth_it(real, here, work, wanted, monkeypatch):
    monkeypatch.setattr(auto, "syft_installed", lambda: real)
    monkeypatch.setattr(auto, "cores", lambda: here)
    assert Auto().chosen(lambda: work) == wanted


@pytest.mark.parametrize(
    "module, wanted",
    [
        (nn.Linear(784, 10), 7840),
        # 16 x 24 x 24 positions with 5 x 5 weights each.
        (nn.Conv2d(1, 16, 5), 16 * 24 * 24 * 25),
        (nn.Conv2d(1, 4, 3, stride=2, padding=1), 4 * 14 * 14 * 9),
    ],
)
def test_multiply_adds_are_those_that_one_counts_by_hand(module, wanted):
    model = nn.Sequential(nn.Flatten(), module) if isinstance(module, nn.Linear) else nn.Sequential(module)
    assert multiply_adds(model, (1, 28, 28)) == wanted
    assert model.training and not any(layer._forward_hooks for layer in model.modules())


def test_cores_are_those_that_this_process_may_use(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    for name in ("QUOTA", "OLD_QUOTA", "OLD_PERIOD"):
        monkeypatch.setattr(machine, name, tmp_path / name)
    assert machine.cores() == 8
    (tmp_path / "OLD_QUOTA").write_text("-1\n")
    (tmp_path / "OLD_PERIOD").write_text("100000\n")
    assert machine.cores() == 8
    (tmp_path / "OLD_QUOTA").write_text("350000\n")
    assert machine.cores() == 4
    (tmp_path / "QUOTA").write_text("max 100000\n")
    assert machine.cores() == 8
    (tmp_path / "QUOTA").write_text("150000 100000\n")
    assert machine.cores() == 2
    monkeypatch.setenv(machine.LIMIT, "1")
    assert machine.cores() == 1
    monkeypatch.setenv(machine.LIMIT, "none")
    with pytest.raises(UserError, match="FL_SIMU_CORES = 'none' is not allowed: a number of cores, 1 or more"):
        machine.cores()


def test_the_work_is_asked_for_only_where_there_are_cores(monkeypatch):
    monkeypatch.setattr(auto, "cores", lambda: 1)
    assert Auto().chosen(lambda: pytest.fail("asked")) in (Torch(), Syft())
