"""The contract of a model, and common parts of models."""

from abc import ABC, abstractmethod
from typing import Callable, Optional, Tuple

import torch.nn.functional as F
from torch import Tensor, nn

from fl_simu.kernel.limits import require_share

Shape = Tuple[int, int, int]


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Mean loss of a batch of logits. Looked up at each call, because a hooked torch has another function."""
    return F.cross_entropy(output, target)


def nll(output: Tensor, target: Tensor) -> Tensor:
    """Mean loss of a batch of log-probabilities."""
    return F.nll_loss(output, target)


class Model(ABC):
    """The model to train: a classifier of images.

    Class attributes:
        shape: the only image shape (C, H, W) that the model takes, or None for any.
        reads_symbols: whether images contain whole numbers instead of pixels, for example characters, from 0 to
            the number of classes - 1.
        loss: mean loss of a batch from the module's output and the labels.
    """

    shape: Optional[Shape] = None
    reads_symbols: bool = False
    loss: Callable[[Tensor, Tensor], Tensor] = staticmethod(cross_entropy)

    @abstractmethod
    def build(self, shape: Shape, classes: int) -> nn.Module:
        """The module for images of a shape (C, H, W) and a number of classes, with torch's initial weights."""


class Flatten(nn.Module):
    """(N, C, H, W) -> (N, C H W). `nn.Flatten` of torch 1.4 does not run on pointers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, self.width)


def require_rate(dropout: float) -> None:
    require_share("dropout", dropout)
