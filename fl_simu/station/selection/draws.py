"""Selections at random: uniform, by the number of samples, and by the norms of updates."""

from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.randomness import briefly, permutation
from fl_simu.station.selection.base import Selection, Settled, View


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
        return state, tuple(by_size(view, {ue: float(view.samples[ue]) for ue in view.idle}, free))


class Norms(NamedTuple):
    """What importance by norm remembers.

    Fields:
        norms: by UE, of its last update that was taken.
        weights: of the UEs that were chosen last.
    """

    norms: Dict[int, float]
    weights: Dict[int, float]


@dataclass(frozen=True)
class ImportanceByNorm(Selection):
    r"""Drawn without replacement, each UE with a probability as its samples times the norm of its last update.

    .. math:: P(u \text{ chosen}) = k s_u / s, \quad s_u = n_u ((1 - \mu) \|\Delta_u\| + \mu \bar{\Delta})

    for k of the UEs, with s the sum of all s_u, exactly, as `importance` draws. A UE for which that is above 1 is
    always chosen, and the others share what is left. The update of a UE that is chosen weighs

    .. math:: \omega_u = \frac{n_u}{n P(u \text{ chosen})}

    with n samples in all. So `aggregation = "weighted_sum"`, which it needs, gives in expectation what `mean` over
    everybody would, whatever the norms were, where all that are chosen are taken: for what is late or lost nothing
    stands in.

    Norms are of the updates as the BS decodes them. :math:`\bar{\Delta}` is the mean over the UEs whose norm is
    known, and what counts for the others; at first all are alike, and the draw is that of `importance`. The part
    :math:`\mu` keeps a UE in the draw whose last update was small. A UE that sends a huge update is always chosen
    from then on, also where it means harm.

    Args:
        floor: mu, above 0, at most 1; with 1 the norms do not count.

    Reference: Chen, Horvath, Richtarik 2020, "Optimal Client Sampling for Federated Learning", which takes the
    norms of the present updates; Horvitz, Thompson 1952 for the weights.
    """

    floor: float = 0.1

    state_classes: ClassVar[Tuple[type, ...]] = (Norms,)
    weighs: ClassVar[bool] = True
    compares: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require(0 < self.floor <= 1, "floor", self.floor, "above 0, at most 1")

    def start(self) -> Norms:
        return Norms({}, {})

    def choose(self, state: Norms, view: View, free: int) -> Tuple[Norms, Tuple[int, ...]]:
        sizes = self.sizes(state, view)
        ues = by_size(view, sizes, free)
        chances = inclusion(np.array(list(sizes.values())), free)
        everything = sum(view.samples.values())
        weights = {
            ue: view.samples[ue] / (everything * chance) for ue, chance in zip(sizes, chances.tolist()) if chance
        }
        return Norms(state.norms, {ue: weights[ue] for ue in ues}), tuple(ues)

    def sizes(self, state: Norms, view: View) -> Dict[int, float]:
        """As what the idle UEs are drawn."""
        known = state.norms
        mean = sum(known.values()) / len(known) if any(known.values()) else 1.0
        part = self.floor
        return {ue: view.samples[ue] * ((1 - part) * known.get(ue, mean) + part * mean) for ue in view.idle}

    def weight(self, state: Norms, ue: int) -> float:
        return state.weights[ue]

    def settled(self, state: Norms, round: Settled) -> Norms:
        return state._replace(norms={**state.norms, **{ue: round.norm(ue) for ue in round.accepted}})


def by_size(view: View, sizes: Mapping[int, float], count: int) -> List[int]:
    """So many of the idle UEs, each drawn with a probability as its size, as far as that is at most 1."""
    draws = briefly(view.seed, "importance", round=view.version)
    start, order = draws.random(), permutation(draws, len(view.idle))
    return in_order([view.idle[place] for place in order.tolist()], sizes, count, start)


def in_order(ues: Sequence[int], sizes: Mapping[int, float], count: int, start: float) -> List[int]:
    """Systematic sampling of UEs in an order, from a start of 0 to 1."""
    chances = inclusion(np.array([sizes[ue] for ue in ues]), count)
    return [ues[place] for place in systematic(chances, start).tolist()]


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
