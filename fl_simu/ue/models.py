"""Models: one class a model, one row in the registry below.

A model is a frozen description; `build` makes the module. All are classifiers of images of shape (C, H, W).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Callable, Dict, List, Optional, Tuple, Type

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fl_simu.kernel.errors import require

Shape = Tuple[int, int, int]


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """Mean loss of a batch of logits. Looked up at the call: a hooked torch has another one."""
    return F.cross_entropy(output, target)


def nll(output: Tensor, target: Tensor) -> Tensor:
    """Mean loss of a batch of log-probabilities."""
    return F.nll_loss(output, target)


class Model(ABC):
    """What to build.

    Class attributes:
        shape: the one image shape (C, H, W) that the model takes, or None for any.
        loss: mean loss of a batch from the module's output and the labels.
    """

    shape: Optional[Shape] = None
    loss: Callable[[Tensor, Tensor], Tensor] = staticmethod(cross_entropy)

    @abstractmethod
    def build(self, shape: Shape, classes: int) -> nn.Module:
        """The module for images of that shape (C, H, W) and that many classes, with torch's initial weights."""


class _Flatten(nn.Module):
    """(N, C, H, W) -> (N, C H W). `nn.Flatten` of torch 1.4 does not run on pointers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, self.width)


def _require_rate(dropout: float) -> None:
    require(0 <= dropout < 1, "dropout", dropout, "at least 0 and below 1")


class _MnistCnnModule(nn.Module):
    def __init__(self, classes: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU())
        self.fc = nn.Sequential(nn.Linear(64 * 12 * 12, 128), nn.ReLU(), nn.Linear(128, classes))
        self.dropout = dropout

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.conv(x), 2)
        if self.dropout:
            x = F.dropout2d(x, self.dropout, self.training)
        return F.log_softmax(self.fc(x.reshape(-1, 64 * 12 * 12)), dim=1)


@dataclass(frozen=True)
class MnistCnn(Model):
    """The notes' MNIST CNN: two 3x3 convolutions (32, 64), pooling, 128 units; 1,199,882 parameters.

    Args:
        dropout: rate of channel dropout after the pooling. The notes declare a rate of 0.25 and never apply it,
            so 0 is theirs.

    Reference: notes, PySyft basics and manual aggregation.
    """

    dropout: float = 0.0

    shape = (1, 28, 28)
    loss = staticmethod(nll)

    def __post_init__(self) -> None:
        _require_rate(self.dropout)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return _MnistCnnModule(classes, self.dropout)


class _LeNetModule(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc = nn.Sequential(
            nn.Linear(16 * 5 * 5, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(x.reshape(-1, 16 * 5 * 5))


@dataclass(frozen=True)
class LeNet(Model):
    """The notes' CIFAR LeNet: 6 and 16 5x5 filters, 120, 84 units.

    Args:
        outputs: width of the last layer; the notes use 100 also for the ten classes of CIFAR-10.

    Reference: LeCun et al. 1998; notes, graded upload on CIFAR.
    """

    outputs: int = 100

    shape = (3, 32, 32)

    def __post_init__(self) -> None:
        require(self.outputs >= 2, "outputs", self.outputs, "at least 2")

    def build(self, shape: Shape, classes: int) -> nn.Module:
        require(self.outputs >= classes, "outputs", self.outputs, f"at least the {classes} classes")
        return _LeNetModule(self.outputs)


@dataclass(frozen=True)
class PflCnn(Model):
    """The CIFAR-10 CNN of pfl-research's public comparison: two 3x3 convolutions (32, 64), 128 units, dropout.

    1,626,442 parameters for ten classes; ReLU, no padding, torch's initial weights.

    Reference: Granqvist et al. 2024, "pfl-research: simulation framework for accelerating research in Private
    Federated Learning".
    """

    shape = (3, 32, 32)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
            *(_Flatten(64 * 14 * 14), nn.Linear(64 * 14 * 14, 128), nn.ReLU(), nn.Dropout(0.5)),
            nn.Linear(128, classes),
        )


class _DlgLeNetModule(nn.Module):
    def __init__(self, shape: Shape, classes: int, bound: float) -> None:
        super().__init__()
        channels, self.width = shape[0], 12 * -(-shape[1] // 4) * -(-shape[2] // 4)
        # torch's own initial numbers are thrown away; that they are drawn must not move the generator.
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

    Smooth everywhere, so that a gradient can be matched by a second-order method. Weights and biases are drawn
    from U(-bound, bound), layer by layer, weights first.

    Args:
        bound: above 0; the published 0.5.

    Reference: Zhu, Liu, Han, "Deep Leakage from Gradients", 2019; notes, gradient leakage.
    """

    bound: float = 0.5

    def __post_init__(self) -> None:
        require(0 < self.bound < float("inf"), "bound", self.bound, "a finite number above 0")

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return _DlgLeNetModule(shape, classes, self.bound)


@dataclass(frozen=True)
class LogisticRegression(Model):
    """One linear layer on the flat image."""

    def build(self, shape: Shape, classes: int) -> nn.Module:
        width = shape[0] * shape[1] * shape[2]
        return nn.Sequential(_Flatten(width), nn.Linear(width, classes))


@dataclass(frozen=True)
class Mlp(Model):
    """A small multilayer perceptron with ReLU.

    Args:
        hidden: widths of the hidden layers, each at least 1.
        dropout: dropout rate after each hidden layer.
        batch_norm: batch normalisation before each ReLU.
    """

    hidden: Tuple[int, ...] = (64,)
    dropout: float = 0.0
    batch_norm: bool = False

    def __post_init__(self) -> None:
        require(all(width >= 1 for width in self.hidden), "hidden", self.hidden, "widths of at least 1")
        _require_rate(self.dropout)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        width = shape[0] * shape[1] * shape[2]
        layers: List[nn.Module] = [_Flatten(width)]
        for units in self.hidden:
            layers.append(nn.Linear(width, units))
            if self.batch_norm:
                layers.append(nn.BatchNorm1d(units))
            layers.append(nn.ReLU())
            if self.dropout:
                layers.append(nn.Dropout(self.dropout))
            width = units
        return nn.Sequential(*layers, nn.Linear(width, classes))


class _RowLstmModule(nn.Module):
    def __init__(self, shape: Shape, hidden: int, classes: int) -> None:
        super().__init__()
        self.width = shape[0] * shape[2]
        self.lstm = nn.LSTM(self.width, hidden, batch_first=True)
        self.fc = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 2, 1, 3).reshape(x.shape[0], x.shape[2], self.width)
        return self.fc(self.lstm(rows)[0][:, -1])


@dataclass(frozen=True)
class RowLstm(Model):
    """An LSTM that reads the image row by row.

    Args:
        hidden: number of units, at least 1.
    """

    hidden: int = 64

    def __post_init__(self) -> None:
        require(self.hidden >= 1, "hidden", self.hidden, "at least 1")

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return _RowLstmModule(shape, self.hidden, classes)


@dataclass(frozen=True)
class LensA(Model):
    """Model A of the poisoning paper: two 5x5 convolutions (64, 64), 128 units; 3,382,346 parameters.

    Reference: of A to G, Bhagoji, Chakraborty, Mittal, Calo 2019, "Analyzing Federated Learning through an
    Adversarial Lens", and its code. ReLU throughout, logits out, torch's initial weights but for D.
    """

    shape = (1, 28, 28)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(1, 64, 5), nn.ReLU(), nn.Conv2d(64, 64, 5), nn.ReLU(), nn.Dropout(0.25)),
            *(_Flatten(64 * 20 * 20), nn.Linear(64 * 20 * 20, 128), nn.ReLU(), nn.Dropout(0.5)),
            nn.Linear(128, classes),
        )


@dataclass(frozen=True)
class LensB(Model):
    """Model B of the poisoning paper: convolutions with stride, dropout of pixels; 710,218 parameters."""

    shape = (1, 28, 28)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Dropout(0.2), nn.Conv2d(1, 64, 8, stride=2, padding=3), nn.ReLU()),
            *(nn.Conv2d(64, 128, 6, stride=2), nn.ReLU(), nn.Conv2d(128, 128, 5), nn.ReLU(), nn.Dropout(0.5)),
            *(_Flatten(128), nn.Linear(128, classes)),
        )


@dataclass(frozen=True)
class LensC(Model):
    """Model C of the poisoning paper: two 3x3 convolutions (128, 64), 128 units; 4,795,082 parameters."""

    shape = (1, 28, 28)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(1, 128, 3), nn.ReLU(), nn.Conv2d(128, 64, 3), nn.ReLU(), nn.Dropout(0.25)),
            *(_Flatten(64 * 24 * 24), nn.Linear(64 * 24 * 24, 128), nn.ReLU(), nn.Dropout(0.5)),
            nn.Linear(128, classes),
        )


@dataclass(frozen=True)
class LensD(Model):
    """Model D of the poisoning paper: four layers of 300 units, dropout, He init; 509,410 parameters.

    The hidden layers begin with normal weights of variance 2 / inputs and without bias.

    Reference: He, Zhang, Ren, Sun 2015, "Delving Deep into Rectifiers".
    """

    shape = (1, 28, 28)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        layers: List[nn.Module] = [_Flatten(784)]
        for width in (784, 300, 300, 300):
            hidden = nn.Linear(width, 300)
            nn.init.kaiming_normal_(hidden.weight, nonlinearity="relu")
            nn.init.zeros_(hidden.bias)
            layers += [hidden, nn.ReLU(), nn.Dropout(0.5)]
        return nn.Sequential(*layers, nn.Linear(300, classes))


@dataclass(frozen=True)
class LensE(Model):
    """Model E of the poisoning paper: two layers of 100 units; 89,610 parameters."""

    shape = (1, 28, 28)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return Mlp((100, 100)).build(shape, classes)


@dataclass(frozen=True)
class LensF(Model):
    """Model F of the poisoning paper: two 5x5 convolutions (32, 64), pooling, 512 units; 582,026 parameters."""

    shape = (1, 28, 28)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(1, 32, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 5), nn.ReLU(), nn.MaxPool2d(2)),
            *(_Flatten(64 * 4 * 4), nn.Linear(64 * 4 * 4, 512), nn.ReLU(), nn.Linear(512, classes)),
        )


@dataclass(frozen=True)
class LensG(Model):
    """Model G of the poisoning paper: four convolutions, 512 units with batch norm; 1,694,186 parameters."""

    shape = (1, 28, 28)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.Conv2d(32, 32, 5, padding=2), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Dropout(0.25)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Dropout(0.25), _Flatten(64 * 7 * 7)),
            *(nn.Linear(64 * 7 * 7, 512), nn.ReLU(), nn.BatchNorm1d(512), nn.Dropout(0.5)),
            nn.Linear(512, classes),
        )


MODELS: Dict[str, Type[Model]] = {
    "mnist_cnn": MnistCnn,
    "lenet": LeNet,
    "pfl_cnn": PflCnn,
    "dlg_lenet": DlgLeNet,
    "logistic_regression": LogisticRegression,
    "mlp": Mlp,
    "row_lstm": RowLstm,
    "lens_a": LensA,
    "lens_b": LensB,
    "lens_c": LensC,
    "lens_d": LensD,
    "lens_e": LensE,
    "lens_f": LensF,
    "lens_g": LensG,
}
