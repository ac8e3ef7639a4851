"""Models of LEAF, the benchmark of federated data sets."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fl_simu.kernel.errors import UserError
from fl_simu.models.base import Flatten, Model, Shape


@dataclass(frozen=True)
class LeafCnn(Model):
    """LEAF's CNN for `leaf_femnist`: two 5x5 convolutions (32, 64), pooling, 2048 units; 6,603,710 parameters.

    The parameter count is for its 62 classes. It takes images of 1x28x28. Padded convolutions, ReLU, torch's
    initial weights.

    Reference: of both, Caldas et al. 2018, "LEAF: A Benchmark for Federated Settings", and its code.
    """

    shape = (1, 28, 28)

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(1, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(Flatten(64 * 7 * 7), nn.Linear(64 * 7 * 7, 2048), nn.ReLU()),
            nn.Linear(2048, classes),
        )


class _NextCharacter(nn.Module):
    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.symbols = symbols
        self.embedding = nn.Embedding(symbols, 8)
        self.lstm = nn.LSTM(8, 256, num_layers=2, batch_first=True)
        self.fc = nn.Linear(256, symbols)

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.reshape(x.shape[0], -1)
        places = pixels.to(torch.int64)
        if not bool(((places == pixels) & (places >= 0) & (places < self.symbols)).all()):
            raise UserError(f"model leaf_lstm takes whole numbers from 0 to {self.symbols - 1} in place of pixels")
        return self.fc(self.lstm(self.embedding(places))[0][:, -1])


@dataclass(frozen=True)
class LeafLstm(Model):
    """LEAF's stacked LSTM for `leaf_shakespeare`: predicts one of 80 characters; 819,920 parameters.

    It has an embedding of 8 numbers, two LSTM layers of 256 units, and a linear layer on the last step with one
    output per class. It takes images of 1x1x80 whose pixels are characters: whole numbers in float32, which it
    converts to integers. Torch's LSTM has a second bias in each layer, 2,048 numbers more than LEAF's, and starts
    without the 1 that LEAF adds to the forget gate; torch's initial weights. Not on real syft, nor on
    `vectorized`.
    """

    shape = (1, 1, 80)
    reads_symbols = True

    def build(self, shape: Shape, classes: int) -> nn.Module:
        return _NextCharacter(classes)
