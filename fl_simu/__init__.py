"""Federated learning over a simulated radio uplink, on PySyft 0.2.4 and on plain torch.

User equipments train on their own data and send their models, quantised, over links whose rate varies; a base
station takes what arrives in time and averages it. On the command line start with `python -m fl_simu`; in Python
with `fl_simu.Experiment` and `fl_simu.run`. Importing this package imports nothing else until a name is used.
"""

import importlib
from typing import TYPE_CHECKING, Any, List

if TYPE_CHECKING:
    from fl_simu.api import Run, load, resume, run
    from fl_simu.experiment import Experiment, Training
    from fl_simu.kernel.errors import UserError
    from fl_simu.loop.coordinator import Observer
    from fl_simu.results.paper import paper_style
    from fl_simu.studies.sweep import Sweep, sweep

__version__ = "0.1.0"
__all__ = [
    "Experiment",
    "Observer",
    "Run",
    "Sweep",
    "Training",
    "UserError",
    "load",
    "paper_style",
    "resume",
    "run",
    "sweep",
]

# The module of each public name; and the public modules: of each kind of part, and of the contracts of parts.
_NAMES = {
    **dict.fromkeys(("Run", "load", "resume", "run"), "fl_simu.api"),
    **dict.fromkeys(("Experiment", "Training"), "fl_simu.experiment"),
    **dict.fromkeys(("Sweep", "sweep"), "fl_simu.studies.sweep"),
    "Observer": "fl_simu.loop.coordinator",
    "UserError": "fl_simu.kernel.errors",
    "paper_style": "fl_simu.results.paper",
}
_ROOMS = {
    "allocators": "fl_simu.radio.allocation",
    "aggregation": "fl_simu.station.aggregation",
    "algorithms": "fl_simu.ue.algorithms",
    "channels": "fl_simu.radio.channels",
    "codecs": "fl_simu.radio.codecs",
    "compute": "fl_simu.ue.compute",
    "datasets": "fl_simu.data.datasets",
    "faults": "fl_simu.ue.faults",
    "laws": "fl_simu.laws",
    "losses": "fl_simu.radio.losses",
    "media": "fl_simu.radio.media",
    "meters": "fl_simu.meters",
    "models": "fl_simu.models",
    "observers": "fl_simu.observers",
    "optimizers": "fl_simu.ue.optimizers",
    "partitions": "fl_simu.data.partition",
    "privacy": "fl_simu.privacy",
    "protocols": "fl_simu.station.protocols",
    "selections": "fl_simu.station.selection",
    "servers": "fl_simu.station.server",
    "transforms": "fl_simu.ue.transforms",
}


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(_ROOMS[name])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted([*globals(), *_NAMES, *_ROOMS])
