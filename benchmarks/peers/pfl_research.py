"""pfl-research's simulation: FederatedAveraging on SimulatedBackend with PyTorchModel.

Reference: Granqvist et al. 2024, "pfl-research: simulation framework for accelerating research in Private
Federated Learning".
"""

import logging
from importlib.metadata import version
from typing import Any, Tuple

import torch
from torch import Tensor, nn

from benchmarks.peers.jobs import Arrays, Job, Outcome
from benchmarks.timing import Stopwatch
from fl_simu.kernel.parameters import params_of


class Module(nn.Module):
    """A module with the loss and the metrics that pfl needs."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.module, self.loss_of = job.module(), job.loss

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of a batch in training."""
        self.module.train()
        return self.loss_of(self.module(images), labels)

    def metrics(self, images: Tensor, labels: Tensor) -> Any:
        """Mean loss of a user; pfl calls this in the first round only, which does not count."""
        from pfl.metrics import Weighted

        self.module.eval()
        with torch.no_grad():
            loss = self.loss_of(self.module(images), labels).item()
        return {"loss": Weighted(loss * len(labels), len(labels))}


def run(job: Job, arrays: Arrays, rounds: int, threads: int = 1) -> Outcome:
    """Run all rounds in one call of the algorithm; with torchrun, in several processes."""
    from pfl.aggregate.simulate import SimulatedBackend
    from pfl.algorithm.base import NNAlgorithmParams
    from pfl.algorithm.federated_averaging import FederatedAveraging
    from pfl.callback.base import TrainingProcessCallback
    from pfl.data.federated_dataset import FederatedDataset
    from pfl.data.pytorch import PyTorchTensorDataset
    from pfl.hyperparam import NNTrainHyperParams
    from pfl.internal.ops.selector import get_framework_module
    from pfl.model.pytorch import PyTorchModel

    logging.getLogger().setLevel(logging.WARNING)
    torch.set_num_threads(threads)
    module = Module(job)
    module.module.load_state_dict(arrays.initial)
    model = PyTorchModel(module, torch.optim.SGD, torch.optim.SGD(module.parameters(), lr=1.0))
    # A user's data are arranged in the round's order when they are requested.
    users = iter([(round, ue) for round in range(rounds) for ue in arrays.ues(round)])

    def make_dataset(user: Tuple[int, int]) -> Any:
        return PyTorchTensorDataset(arrays.of(user[1], user[0]), user_id=str(user[1]))

    data = FederatedDataset(make_dataset, lambda: next(users))
    watch = Stopwatch()

    class Laps(TrainingProcessCallback):
        def after_central_iteration(self, *arguments: Any, **named: Any) -> Any:
            watch.lap()
            return super().after_central_iteration(*arguments, **named)

    backend = SimulatedBackend(training_data=data, val_data=data)
    watch.start()
    FederatedAveraging().run(
        NNAlgorithmParams(
            central_num_iterations=rounds,
            evaluation_frequency=rounds,
            train_cohort_size=job.drawn,
            val_cohort_size=0,
        ),
        backend,
        model,
        NNTrainHyperParams(local_num_epochs=1, local_learning_rate=job.lr, local_batch_size=job.batch_size),
        callbacks=[Laps()],
        send_metrics_to_platform=False,
    )
    processes = get_framework_module().distributed.world_size
    started = f"torchrun, {processes} processes, " if processes > 1 else ""
    settings = f"{started}SimulatedBackend, FederatedAveraging, PyTorchModel, evaluation in the first round only"
    return Outcome(watch.seconds, params_of(module.module), threads * processes, settings, {"pfl": version("pfl")})
