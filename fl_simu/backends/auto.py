"""The default backend, for experiments that name none."""

from dataclasses import dataclass
from typing import Callable

from fl_simu.backends.base import Backend, BackendSpec, StepWork
from fl_simu.backends.processes import Processes
from fl_simu.backends.syft_workers import Syft
from fl_simu.backends.torch_loop import Torch
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.installation import syft_installed
from fl_simu.kernel.machine import cores
from fl_simu.ue.training import LocalTraining

# Below this, a round takes a few milliseconds. Workers save one or two of them, but take 50 to start, and memory.
# From here on, two workers make a round 1.2 to 1.9 times shorter (benchmarks/auto_rule.py).
WORTH_SHARING = 2_000_000


@dataclass(frozen=True)
class Auto(BackendSpec):
    """All cores of this machine if the work is worth it; otherwise syft where real syft is installed, else torch.

    It selects `processes`, with one worker for each core that this process may use, if there are several such
    cores, a round has several UEs, and `threads` is 1. On plain torch a step must also have at least 2,000,000
    multiply-adds, forward and backward. Otherwise it selects `syft` or `torch`, in one process. The weights are
    the same. The first line that a run prints and its `config.toml` name the backend that was selected.
    """

    def chosen(self, work: Callable[[], StepWork]) -> BackendSpec:
        real = syft_installed()
        if cores() > 1 and not Processes.missing():
            step = work()
            if step.ues > 1 and step.threads == 1 and (real or step.multiply_adds >= WORTH_SHARING):
                return Processes(inner="syft" if real else "torch")
        return Syft() if real else Torch()

    def build(self, training: LocalTraining) -> Backend:
        raise UserError("backend auto is none by itself: `chosen` says which one it is here")
