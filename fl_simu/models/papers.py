"""Models of published experiments."""

from dataclasses import dataclass
from typing import List

from torch import nn

from fl_simu.models.base import Flatten, Model, Shape
from fl_simu.models.plain import Mlp


@dataclass(frozen=True)
class PflCnn(Model):
    """The CIFAR-10 CNN of pfl-research's public comparison: two 3x3 convolutions (32, 64), 128 units, dropout.

    It has 1,626,442 parameters for ten classes and takes images of 3x32x32. ReLU, no padding, torch's initial
    weights; dropout of 0.25 after the pooling and of 0.5 after the 128 units.

    Reference: Granqvist et al. 2024, "pfl-research: simulation framework for accelerating research in Private
    Federated Learning".
    """

    shape = (3, 32, 32)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25)),
            *(Flatten(64 * 14 * 14), nn.Linear(64 * 14 * 14, 128), nn.ReLU(), nn.Dropout(0.5)),
            nn.Linear(128, classes),
        )


@dataclass(frozen=True)
class LensA(Model):
    """Model A of the poisoning paper: two 5x5 convolutions (64, 64), 128 units; 3,382,346 parameters.

    With dropout. Models A to G take images of 1x28x28, use ReLU throughout, and output logits. All start from
    torch's initial weights, except D. The paper's model LR is `logistic_regression`.

    Reference: of A to G, Bhagoji, Chakraborty, Mittal, Calo 2019, "Analyzing Federated Learning through an
    Adversarial Lens", and its code.
    """

    shape = (1, 28, 28)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(1, 64, 5), nn.ReLU(), nn.Conv2d(64, 64, 5), nn.ReLU(), nn.Dropout(0.25)),
            *(Flatten(64 * 20 * 20), nn.Linear(64 * 20 * 20, 128), nn.ReLU(), nn.Dropout(0.5)),
            nn.Linear(128, classes),
        )


@dataclass(frozen=True)
class LensB(Model):
    """Model B of the poisoning paper: strided convolutions, dropout on pixels; 710,218 parameters.

    The convolutions are 8x8 (64, stride 2), 6x6 (128, stride 2) and 5x5 (128).
    """

    shape = (1, 28, 28)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Dropout(0.2), nn.Conv2d(1, 64, 8, stride=2, padding=3), nn.ReLU()),
            *(nn.Conv2d(64, 128, 6, stride=2), nn.ReLU(), nn.Conv2d(128, 128, 5), nn.ReLU(), nn.Dropout(0.5)),
            *(Flatten(128), nn.Linear(128, classes)),
        )


@dataclass(frozen=True)
class LensC(Model):
    """Model C of the poisoning paper: two 3x3 convolutions (128, 64), 128 units; 4,795,082 parameters.

    With dropout.
    """

    shape = (1, 28, 28)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(1, 128, 3), nn.ReLU(), nn.Conv2d(128, 64, 3), nn.ReLU(), nn.Dropout(0.25)),
            *(Flatten(64 * 24 * 24), nn.Linear(64 * 24 * 24, 128), nn.ReLU(), nn.Dropout(0.5)),
            nn.Linear(128, classes),
        )


@dataclass(frozen=True)
class LensD(Model):
    """Model D of the poisoning paper: four layers of 300 units, dropout, He init; 509,410 parameters.

    The hidden layers start from normal weights of variance 2 / inputs, and from zero bias.

    Reference: He, Zhang, Ren, Sun 2015, "Delving Deep into Rectifiers".
    """

    shape = (1, 28, 28)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        layers: List[nn.Module] = [Flatten(784)]
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
            *(Flatten(64 * 4 * 4), nn.Linear(64 * 4 * 4, 512), nn.ReLU(), nn.Linear(512, classes)),
        )


@dataclass(frozen=True)
class LensG(Model):
    """Model G of the poisoning paper: four convolutions, 512 units with batch norm; 1,694,186 parameters.

    The convolutions are 5x5 (32, 32) and 3x3 (64, 64); pooling and dropout follow each pair. Not on real syft.
    """

    shape = (1, 28, 28)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.Conv2d(32, 32, 5, padding=2), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Dropout(0.25)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Dropout(0.25), Flatten(64 * 7 * 7)),
            *(nn.Linear(64 * 7 * 7, 512), nn.ReLU(), nn.BatchNorm1d(512), nn.Dropout(0.5)),
            nn.Linear(512, classes),
        )
