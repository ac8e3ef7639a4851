"""The notes' models."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_count, require_factor
from fl_simu.models.base import Model, Shape, nll, require_rate


class _MnistCnnModule(nn.Module):
    def __init__(self, classes: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2))
        self.fc = nn.Sequential(nn.Linear(64 * 12 * 12, 128), nn.ReLU(), nn.Linear(128, classes))
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.dropout:
            x = F.dropout2d(x, self.dropout, self.training)
        return F.log_softmax(self.fc(x.reshape(-1, 64 * 12 * 12)), dim=1)


@dataclass(frozen=True)
class MnistCnn(Model):
    """The notes' MNIST CNN: two 3x3 convolutions (32, 64), pooling, 128 units; 1,199,882 parameters.

    It takes images of 1x28x28. The parameter count is for ten classes.

    Args:
        dropout: rate of channel dropout after the pooling, 0 or more and below 1. The notes declare a rate of 0.25
            and never apply it, so 0 reproduces them.

    Reference: notes, PySyft basics and manual aggregation.
    """

    dropout: float = 0.0

    shape = (1, 28, 28)
    loss = staticmethod(nll)

    def __post_init__(self) -> None:
        require_rate(self.dropout)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return _MnistCnnModule(classes, self.dropout)


class _LeNetModule(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Sequential(
            nn.Linear(16 * 5 * 5, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        return self.fc(x.reshape(-1, 16 * 5 * 5))


@dataclass(frozen=True)
class LeNet(Model):
    """The notes' CIFAR LeNet: 6 and 16 5x5 filters, 120, 84 units.

    It takes images of 3x32x32.

    Args:
        outputs: width of the last layer, 2 or more, and at least the number of classes of the data. The notes use
            100 even for the ten classes of CIFAR-10.

    Reference: LeCun et al. 1998; notes, graded upload on CIFAR.
    """

    outputs: int = 100

    shape = (3, 32, 32)

    def __post_init__(self) -> None:
        require_count("outputs", self.outputs, least=2)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        require(self.outputs >= classes, "outputs", self.outputs, f"at least the {classes} classes")
        return _LeNetModule(self.outputs)


class _DlgLeNetModule(nn.Module):
    def __init__(self, shape: Shape, classes: int, bound: float) -> None:
        super().__init__()
        channels, self.width = shape[0], 12 * -(-shape[1] // 4) * -(-shape[2] // 4)
        # torch's own initial weights are replaced, and drawing them must not advance the generator.
        with torch.random.fork_rng(devices=[]):
            self.body = nn.Sequential(
                nn.Conv2d(channels, 12, 5, padding=2, stride=2),
                nn.Sigmoid(),
                nn.Conv2d(12, 12, 5, padding=2, stride=2),
                nn.Sigmoid(),
                nn.Conv2d(12, 12, 5, padding=2, stride=1),
                nn.Sigmoid(),
            )
            self.fc = nn.Linear(self.width, classes)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.body(x).reshape(-1, self.width))


@dataclass(frozen=True)
class DlgLeNet(Model):
    """The notes' LeNet for gradient leakage: three 5x5 convolutions of 12 channels, sigmoids, one linear layer.

    The strides are 2, 2 and 1, the padding is 2. It takes images of any shape. It is smooth everywhere, so that a
    gradient can be matched by a second-order method. Weights and biases are drawn from U(-bound, bound), layer by
    layer, weights first. It is made for attacks, not for accuracy; see docs/attacks.md.

    Args:
        bound: bound of the initial weights and biases, above 0; 0.5 is the published one.

    Reference: Zhu, Liu, Han, "Deep Leakage from Gradients", 2019; notes, gradient leakage.
    """

    bound: float = 0.5

    def __post_init__(self) -> None:
        require_factor("bound", self.bound)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return _DlgLeNetModule(shape, classes, self.bound)
