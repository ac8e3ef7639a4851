"""Selections at random: uniform, and by the number of samples."""

from dataclasses import dataclass
from itertools import islice
from typing import Any, Tuple

import numpy as np

from fl_simu.kernel.randomness import briefly, permutation
from fl_simu.station.selection.base import Selection, View


@dataclass(frozen=True)
class RandomDraw(Selection):
    """Drawn uniformly, without replacement, anew for each global model.

    For each version all UEs are put in a random order, and the first idle ones are taken: each set of idle UEs has
    the same chance.
    """

    def choose(self, state: Any, view: View, free: int) -> Tuple[Any, Tuple[int, ...]]:
        order = permutation(briefly(view.seed, "draw", round=view.version), len(view.samples)).tolist()
        if len(view.idle) == len(order):
            return state, tuple(order[:free])
        idle = set(view.idle)
        return state, tuple(islice((ue for ue in order if ue in idle), free))


@dataclass(frozen=True)
class Importance(Selection):
    r"""Drawn without replacement, each UE with a probability as its number of samples.

    .. math:: P(u \text{ chosen}) = k n_u / n

    for k of the idle UEs, exactly, by systematic sampling of all of them in a random order. So the plain mean of
    the chosen ones (`aggregation = "plain_mean"`) is, in expectation, the mean of all weighted by their samples:
    what `mean` over everybody would be. A UE with more than n / k samples is always chosen, and then counts less
    than its samples; the others share what is left.

    Reference: Li, Huang, Yang, Wang, Zhang 2020, "On the Convergence of FedAvg on Non-IID Data", scheme I, which
    draws with replacement; Madow 1949, "On the Theory of Systematic Sampling, II".
    """

    def choose(self, state: Any, view: View, free: int) -> Tuple[Any, Tuple[int, ...]]:
        draws = briefly(view.seed, "importance", round=view.version)
        start, order = draws.random(), permutation(draws, len(view.idle))
        idle = np.array(view.idle, dtype=np.int64)[order]
        chances = inclusion(np.array([view.samples[ue] for ue in idle.tolist()], dtype=float), free)
        return state, tuple(idle[systematic(chances, start)].tolist())


def inclusion(sizes: np.ndarray, count: int) -> np.ndarray:
    """With what probability each is among so many, as its size; at most 1.

    Args:
        sizes: at least 0, shape (n,).
        count: at least 0; all of those above 0 are taken if they are no more.
    """
    certain = np.zeros(len(sizes), bool)
    if count >= (sizes > 0).sum():
        return (sizes > 0).astype(float)
    while True:
        left = np.where(certain, 0.0, sizes)
        chances = np.where(certain, 1.0, left * (count - certain.sum()) / left.sum())
        if (chances <= 1.0).all():
            return chances
        certain |= chances > 1.0


def systematic(chances: np.ndarray, start: float) -> np.ndarray:
    """The places at which the running sum of the chances passes start, start + 1, start + 2, ...

    Args:
        chances: of which the sum is whole, each at most 1.
        start: 0 to 1.
    """
    ends = np.cumsum(chances)
    # Rounding may put the whole sum next to a whole number.
    total = round(float(ends[-1])) if len(ends) else 0
    passed = np.searchsorted(ends, np.arange(total) + start, side="right")
    return np.minimum(passed, len(chances) - 1)
