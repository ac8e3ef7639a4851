"""How the UEs train: one interface, several implementations, the same result."""

from typing import Dict, Type

from fl_simu.backends.auto import Auto
from fl_simu.backends.base import BackendSpec
from fl_simu.backends.processes import Processes
from fl_simu.backends.ray_actors import Ray
from fl_simu.backends.syft_workers import Syft
from fl_simu.backends.torch_loop import Torch
from fl_simu.backends.vectorized import Vectorized

BACKENDS: Dict[str, Type[BackendSpec]] = {
    "auto": Auto,
    "syft": Syft,
    "torch": Torch,
    "processes": Processes,
    "ray": Ray,
    "vectorized": Vectorized,
}
