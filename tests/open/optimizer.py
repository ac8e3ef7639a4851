"""An optimiser: any class of torch.optim."""

from dataclasses import dataclass

import torch

from fl_simu.ue.optimizers import Optimizer


@dataclass(frozen=True)
class Nesterov(Optimizer):
    """SGD with Nesterov's momentum.

    Args:
        lr: learning rate.
        momentum: above 0 and below 1.
        nesterov: always true.
    """

    lr: float = 0.05
    momentum: float = 0.9
    nesterov: bool = True

    torch_class = torch.optim.SGD
