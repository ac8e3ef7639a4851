"""Plain models, for images of any shape."""

from dataclasses import dataclass
from typing import List, Tuple

from torch import Tensor, nn

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import MOST, require_count
from fl_simu.models.base import Flatten, Model, Shape, require_rate

MOST_LAYERS = 100


@dataclass(frozen=True)
class LogisticRegression(Model):
    """One linear layer on the flat image.

    It takes images of any shape.
    """

    def build(self, shape: Shape, classes: int) -> nn.Module:
        width = shape[0] * shape[1] * shape[2]
        return nn.Sequential(Flatten(width), nn.Linear(width, classes))


@dataclass(frozen=True)
class Mlp(Model):
    """A small multilayer perceptron with ReLU.

    It takes images of any shape.

    Args:
        hidden: widths of the hidden layers, each 1 or more, at most 100 of them.
        dropout: dropout rate after each hidden layer, 0 or more and below 1.
        batch_norm: batch normalisation before each ReLU; not on real syft.
    """

    hidden: Tuple[int, ...] = (64,)
    dropout: float = 0.0
    batch_norm: bool = False

    def __post_init__(self) -> None:
        fits = len(self.hidden) <= MOST_LAYERS and all(1 <= width <= MOST for width in self.hidden)
        require(
            fits, "hidden", self.hidden, f"widths of at least 1 and at most {MOST}, {MOST_LAYERS} of them at most"
        )
        require_rate(self.dropout)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        width = shape[0] * shape[1] * shape[2]
        layers: List[nn.Module] = [Flatten(width)]
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

    It takes images of any shape. Not on real syft.

    Args:
        hidden: number of units, 1 or more.
    """

    hidden: int = 64

    def __post_init__(self) -> None:
        require_count("hidden", self.hidden)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return _RowLstmModule(shape, self.hidden, classes)
