"""Generated data with adjustable differences between UEs."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np
import torch

from fl_simu.data.datasets import Dataset, DataSource, Samples
from fl_simu.kernel.limits import require_count, require_factor
from fl_simu.kernel.randomness import stream

FEATURES, CLASSES = 60, 10
# Number of UEs whose data a typical machine generates in some seconds.
MOST_UES = 10_000


@dataclass(frozen=True)
class Synthetic(DataSource):
    r"""Synthetic(alpha, beta) of the FedProx paper: each UE has its own linear map from features to classes.

    UE k has :math:`u_k \sim \mathcal{N}(0, \alpha^2)` and :math:`B_k \sim \mathcal{N}(0, \beta^2)`. Its map has
    weights W, shape (60, 10), and b, shape (10,), drawn from :math:`\mathcal{N}(u_k, 1)`. Its samples x, shape
    (60,), are drawn from :math:`\mathcal{N}(v_k, \Sigma)`, with :math:`v_k` from :math:`\mathcal{N}(B_k, 1)` and
    the diagonal :math:`\Sigma_{jj} = j^{-1.2}`. The label of x is the index of the largest element of x W + b. So
    alpha sets how much the maps of the UEs differ, and beta how much their samples differ.

    The paper calls alpha and beta variances; its published code uses them as standard deviations, and so does this
    data set. UE k has 50 samples plus a log-normal number of further ones, whose logarithm has mean 4 and standard
    deviation 2. A tenth of a UE's samples, rounded down, are test samples; those of all UEs form one test set.
    Each sample counts as an image of 1 x 1 x 60. The partition `by_ue` gives each UE its own samples.

    Args:
        ues: number of UEs, 1 to 10,000.
        alpha: 0 or more.
        beta: 0 or more.
        seed: seed of all draws of the data; the experiment's seed does not affect them.

    Reference: Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith 2020, "Federated Optimization in Heterogeneous
    Networks", section 5.1.
    """

    ues: int = 30
    alpha: float = 1.0
    beta: float = 1.0
    seed: int = 0

    name = "synthetic"
    shape = (1, 1, FEATURES)
    classes = CLASSES

    def __post_init__(self) -> None:
        require_count("ues", self.ues, most=MOST_UES)
        require_factor("alpha", self.alpha, or_zero=True)
        require_factor("beta", self.beta, or_zero=True)
        require_count("seed", self.seed, least=0)

    def load(self, data_dir: Optional[Path] = None) -> Dataset:
        return _generated(self)


@functools.lru_cache(maxsize=2)
def _generated(source: Synthetic) -> Dataset:
    train: List[Samples] = []
    test: List[Samples] = []
    for ue in range(source.ues):
        images, labels = _samples_of(source, ue)
        # All samples have the same distribution, so any tenth can be used.
        kept = len(labels) // 10
        test.append(Samples(images[:kept], labels[:kept]))
        train.append(
            Samples(images[kept:], labels[kept:], torch.full((len(labels) - kept,), ue, dtype=torch.int64))
        )
    return Dataset(source.name, _joined(train), _joined(test), CLASSES, "generated")


def _samples_of(source: Synthetic, ue: int) -> Tuple[torch.Tensor, torch.Tensor]:
    draws = stream(source.seed, "synthetic", ue)
    u, centre = source.alpha * draws.standard_normal(), source.beta * draws.standard_normal()
    weights, bias = u + draws.standard_normal((FEATURES, CLASSES)), u + draws.standard_normal(CLASSES)
    mean = centre + draws.standard_normal(FEATURES)
    count = 50 + int(np.exp(4 + 2 * draws.standard_normal()))
    deviations = np.arange(1, FEATURES + 1) ** -0.6
    x = mean + deviations * draws.standard_normal((count, FEATURES))
    labels = np.argmax(x @ weights + bias, axis=1).astype(np.int64)
    return torch.from_numpy(x.astype(np.float32)).view(count, *Synthetic.shape), torch.from_numpy(labels)


def _joined(parts: List[Samples]) -> Samples:
    images, labels = (torch.cat([getattr(part, name) for part in parts]) for name in ("images", "labels"))
    owners = [part.ues for part in parts if part.ues is not None]
    return Samples(images, labels, torch.cat(owners) if owners else None)
