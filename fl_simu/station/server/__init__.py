"""Server optimisers: how the BS moves the global model towards the aggregated model."""

from typing import Dict, Type

from fl_simu.station.server.adaptive import FedAdagrad, FedAdam, FedYogi
from fl_simu.station.server.base import Replace, ServerOptimizer
from fl_simu.station.server.fedavgm import FedAvgM

SERVERS: Dict[str, Type[ServerOptimizer]] = {
    "replace": Replace,
    "fedavgm": FedAvgM,
    "fedadagrad": FedAdagrad,
    "fedadam": FedAdam,
    "fedyogi": FedYogi,
}
