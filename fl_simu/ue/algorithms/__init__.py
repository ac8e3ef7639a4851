"""Local algorithms: what local steps add to the gradient of a UE's loss."""

from typing import Dict, Type

from fl_simu.ue.algorithms.base import FedAvg, LocalAlgorithm
from fl_simu.ue.algorithms.ditto import Ditto
from fl_simu.ue.algorithms.feddyn import FedDyn
from fl_simu.ue.algorithms.fedprox import FedProx
from fl_simu.ue.algorithms.scaffold import Scaffold

ALGORITHMS: Dict[str, Type[LocalAlgorithm]] = {
    "fedavg": FedAvg,
    "fedprox": FedProx,
    "scaffold": Scaffold,
    "feddyn": FedDyn,
    "ditto": Ditto,
}
