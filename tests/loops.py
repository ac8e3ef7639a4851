"""A loop around a few parts, for tests that need no experiment."""

from dataclasses import dataclass

import numpy as np

from fl_simu.kernel.clock import Clock
from fl_simu.loop.cohorts import Cohorts
from fl_simu.loop.coordinator import Coordinator
from fl_simu.loop.setting import Setting
from fl_simu.loop.state import RunState
from fl_simu.radio.bits import FixedBits
from fl_simu.station.aggregation.means import Mean
from fl_simu.station.evaluation import Evaluation
from fl_simu.station.selection import RandomDraw
from fl_simu.station.server import Replace
from fl_simu.ue.algorithms import FedAvg
from fl_simu.ue.compute import ConstantCompute
from fl_simu.ue.faults import NoFaults
from fl_simu.ue.transforms import Movement
from fl_simu.ue.transforms.base import Chain
from fl_simu.ue.work import Work


@dataclass(frozen=True)
class Local:
    """The part of local training that the loop needs."""

    keep_optimizer_state: bool = False
    optimizer: None = None


def loop(backend, model, link, protocol, ues, observers=(), transforms=(), **changes):
    """A coordinator before its first event, with the plainest part wherever none is given."""
    threshold = protocol.movement_threshold()
    trigger = () if threshold is None else (Movement(threshold),)
    parts = {
        "seed": 1,
        "rounds": 1,
        "drawn": ues,
        "full": dict.fromkeys(range(ues), Work(1, 1, 1)),
        "evaluate": lambda params: Evaluation(0.0, 0.0),
        "accuracies": lambda params, own: np.zeros(ues),
        "algorithm": FedAvg(),
        "aggregation": Mean(),
        "server": Replace(),
        "selection": RandomDraw(),
        "compute": ConstantCompute(1.0),
        "faults": NoFaults(),
        "bits": FixedBits(),
        "chain": Chain((*trigger, *transforms)),
    }
    setting = Setting(link=link, protocol=protocol, **{**parts, **changes})
    state = RunState(model)
    cohorts = Cohorts(backend, setting.seed, state, setting.algorithm, setting.full)
    return Coordinator(setting, state, Clock(), cohorts, observers)
