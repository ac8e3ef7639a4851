"""FedLab's algorithms: the handlers and serial trainers of fedlab.contrib.algorithm, in one process.

Reference: Zeng et al. 2021, "FedLab: A Flexible Federated Learning Framework".
"""

import logging
import sys
from importlib import import_module
from typing import Any, List, Mapping

from benchmarks.peers.agreement import problem as p
from benchmarks.peers.fed_lab import STAND_IN
from fl_simu.kernel.parameters import Params, params_of


class Batches:
    """The interface through which a trainer gets a client's batches."""

    def __init__(self, problem: p.Problem) -> None:
        self.problem, self.round = problem, 0

    def get_dataloader(self, ue: int, batch_size: int) -> List[p.Batch]:
        """The batches of a client."""
        return self.problem.batches(ue, self.round)


def run(
    problem: p.Problem,
    drawn: int,
    algorithm: str,
    handler: str,
    trainer: str,
    server: Mapping[str, Any],
    client: Mapping[str, Any],
) -> List[Params]:
    """The global model after each round.

    Args:
        drawn: UEs per round.
        algorithm: a module of fedlab.contrib.algorithm.
        handler, trainer: its two classes.
        server, client: arguments of their `setup_optim`.
    """
    # At the end: an installed torchvision comes first.
    sys.path.append(str(STAND_IN))
    logging.getLogger().setLevel(logging.WARNING)
    found = import_module(f"fedlab.contrib.algorithm.{algorithm}")
    module = p.module()
    module.load_state_dict(problem.initial)
    # FedLab uses the integer part of ratio times clients.
    ratio = 1.0 if drawn == problem.ues else (drawn + 0.5) / problem.ues
    station = getattr(found, handler)(module, global_round=problem.rounds, sample_ratio=ratio)
    station.num_clients = problem.ues
    if server:
        station.setup_optim(**server)
    clients, batches = getattr(found, trainer)(p.module(), num_clients=problem.ues), Batches(problem)
    clients.setup_dataset(batches)
    clients.setup_optim(epochs=1, batch_size=p.BATCH_SIZE, lr=p.LR, **client)
    models = []
    for round in range(problem.rounds):
        batches.round = round
        clients.local_process(station.downlink_package, problem.drawn(round, drawn))
        for pack in clients.uplink_package:
            station.load(pack)
        models.append(params_of(station.model))
    return models
