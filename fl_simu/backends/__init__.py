"""How the UEs train: one interface, several ways to carry it out, one and the same result."""

from typing import Dict, Type

from fl_simu.backends.base import Backend
from fl_simu.backends.syft_workers import SyftWorkers
from fl_simu.backends.torch_loop import TorchLoop

BACKENDS: Dict[str, Type[Backend]] = {"syft": SyftWorkers, "torch": TorchLoop}
