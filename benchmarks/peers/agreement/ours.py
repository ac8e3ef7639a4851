"""fl_simu: a complete run on backend torch, over a channel that delivers all models, unrounded."""

from typing import Any, List, Mapping

import torch

import fl_simu as fl
from benchmarks.peers.agreement import problem as p
from fl_simu.kernel.parameters import Params


class _Keep(fl.Observer):
    """Keeps the global model after each round."""

    def __init__(self) -> None:
        self.models: List[Params] = []

    def aggregated(self, record: Any, coordinator: Any) -> None:
        self.models.append(coordinator.model)


def run(problem: p.Problem, drawn: int, parts: Mapping[str, Any]) -> List[Params]:
    """The global model after each round.

    Args:
        drawn: UEs per round.
        parts: parts of the experiment that replace those of plain federated averaging.
    """
    data = {ue: problem.data(ue) for ue in range(problem.ues)}
    test = (torch.zeros(p.CLASSES, *p.SHAPE), torch.arange(p.CLASSES))
    keep = _Keep()
    experiment = fl.Experiment(
        seed=p.SEED,
        rounds=problem.rounds,
        ues=problem.ues,
        ues_per_round=drawn,
        data=(data, test),
        partition="by_ue",
        model=p.MODEL(),
        optimizer={"name": "sgd", "lr": p.LR},
        training=fl.Training(batch_size=p.BATCH_SIZE),
        backend={"name": "torch", "exact": True},
        channel="constant",
        **parts,
    )
    fl.run(experiment, observers=[keep])
    return keep.models
