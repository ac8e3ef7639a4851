"""The backend that an experiment gets which names none."""

from dataclasses import dataclass

from fl_simu.backends.base import Backend, BackendSpec
from fl_simu.backends.syft_workers import Syft
from fl_simu.backends.torch_loop import Torch
from fl_simu.kernel.installation import syft_installed
from fl_simu.ue.training import LocalTraining


@dataclass(frozen=True)
class Auto(BackendSpec):
    """syft where real syft is installed, else torch.

    `config.toml` of the run says which.
    """

    def chosen(self) -> BackendSpec:
        return Syft() if syft_installed() else Torch()

    def build(self, training: LocalTraining) -> Backend:
        return self.chosen().build(training)
