"""syft's `federated.floptimizer`: one optimiser per worker, each with its own memory."""

import copy
from typing import Any, Sequence


class Optims:
    """Copies of one optimiser over the same parameters.

    Args:
        workers: the workers' ids.
        optim: the optimiser that is copied.
    """

    def __init__(self, workers: Sequence[Any], optim: Any) -> None:
        self.optim, self.workers = optim, workers
        self.optimizers = {str(worker): copy.copy(optim) for worker in workers}
        for optimizer in self.optimizers.values():
            optimizer.load_state_dict(optim.state_dict())

    def get_optim(self, worker: Any) -> Any:
        return self.optimizers[str(worker)]

    def count(self) -> int:
        return len(self.workers)
