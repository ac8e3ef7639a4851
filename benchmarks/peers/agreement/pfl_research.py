"""pfl-research's algorithms: `FedProx` and `SCAFFOLD` on SimulatedBackend with PyTorchModel.

Reference: Granqvist et al. 2024, "pfl-research: simulation framework for accelerating research in Private
Federated Learning".
"""

import logging
from contextlib import contextmanager, nullcontext
from typing import Any, Iterator, List, Tuple
from unittest import mock

import torch
from torch import Tensor, nn

from benchmarks.peers.agreement import problem as p
from fl_simu.kernel.parameters import Params, params_of


class Module(nn.Module):
    """The model with the loss and the metrics that pfl needs."""

    def __init__(self, initial: Params) -> None:
        super().__init__()
        self.module = p.module()
        self.module.load_state_dict(initial)

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of a batch."""
        return p.MODEL.loss(self.module(images), labels)

    def metrics(self, images: Tensor, labels: Tensor) -> Any:
        """Not used; pfl calls this in the first round only."""
        from pfl.metrics import Weighted

        return {"samples": Weighted(len(labels), len(labels))}


def run(problem: p.Problem, drawn: int, algorithm: str, mu: float = 0.0, exchanged: bool = False) -> List[Params]:
    """The global model after each round.

    Args:
        drawn: UEs per round.
        algorithm: fedprox, with a mean weighted by samples, or scaffold (option II), with a plain mean.
        mu: the coefficient of FedProx.
        exchanged: whether SCAFFOLD's step gets the two control variates exchanged.
    """
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.aggregate.weighting import WeightByDatapoints
    from pfl.algorithm.fedprox import FedProx, FedProxParams
    from pfl.algorithm.scaffold import SCAFFOLD, SCAFFOLDParams
    from pfl.callback.base import TrainingProcessCallback
    from pfl.data.federated_dataset import FederatedDataset
    from pfl.data.pytorch import PyTorchTensorDataset
    from pfl.data.user_state import InMemoryUserStateStorage
    from pfl.hyperparam import NNTrainHyperParams
    from pfl.model.pytorch import PyTorchModel

    logging.getLogger().setLevel(logging.WARNING)
    module, models = Module(problem.initial), []
    # With rate 1 the BS adds the mean update to the model.
    model = PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), lr=1.0))
    # A user's data are arranged in the round's order when they are requested.
    users = iter([(ue, round) for round in range(problem.rounds) for ue in problem.drawn(round, drawn)])

    def make_dataset(user: Tuple[int, int]) -> Any:
        return PyTorchTensorDataset(problem.ordered(*user), user_id=str(user[0]))

    class Keep(TrainingProcessCallback):
        def after_central_iteration(self, *arguments: Any, **named: Any) -> Any:
            models.append(params_of(module.module))
            return super().after_central_iteration(*arguments, **named)

    common = {
        "central_num_iterations": problem.rounds,
        "evaluation_frequency": problem.rounds,
        "train_cohort_size": drawn,
        "val_cohort_size": 0,
    }
    if algorithm == "fedprox":
        algorithm_of, parameters, weighting = FedProx(), FedProxParams(mu=mu, **common), [WeightByDatapoints()]
    else:
        storage = InMemoryUserStateStorage()
        options = {"use_gradient_as_control_variate": False, "user_state_storage": storage}
        algorithm_of, weighting = SCAFFOLD(), []
        parameters = SCAFFOLDParams(population=problem.ues, **options, **common)
    data = FederatedDataset(make_dataset, lambda: next(users))
    with _exchanged() if exchanged else nullcontext():
        algorithm_of.run(
            parameters,
            SimulatedBackend(training_data=data, val_data=data, postprocessors=weighting),
            model,
            NNTrainHyperParams(local_num_epochs=1, local_learning_rate=p.LR, local_batch_size=p.BATCH_SIZE),
            callbacks=[Keep()],
            send_metrics_to_platform=False,
        )
    return models


@contextmanager
def _exchanged() -> Iterator[None]:
    """Exchange the two control variates that SCAFFOLD's step gets."""
    from pfl.internal.bridge.pytorch.scaffold import PyTorchSCAFFOLDBridge as bridge

    steps = bridge.do_control_variate_sgd

    def exchanged(model: Any, data: Any, parameters: Any, local_c: Any, server_c: Any) -> None:
        steps(model, data, parameters, local_c=server_c, server_c=local_c)

    with mock.patch.object(bridge, "do_control_variate_sgd", staticmethod(exchanged)):
        yield
