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
    """UEs drawn uniformly, without replacement, again for each global model.

    For each version all UEs are put in a random order, and the first idle ones are selected: every set of idle UEs
    has the same probability.
    """

    def choose(self, state: Any, view: View, free: int) -> Tuple[Any, Tuple[int, ...]]:
        order = permutation(briefly(view.seed, "draw", round=view.version), len(view.samples)).tolist()
        if len(view.idle) == len(order):
            return state, tuple(order[:free])
        idle = set(view.idle)
        return state, tuple(islice((ue for ue in order if ue in idle), free))


@dataclass(frozen=True)
class Importance(Selection):
    r"""UEs drawn without replacement, with probabilities proportional to their numbers of samples.

    .. math:: P(u \text{ chosen}) = k n_u / n

    This holds exactly for k of the idle UEs, by systematic sampling of all of them in a random order. So the plain
    mean of the selected UEs (`aggregation = "plain_mean"`) is, in expectation, the mean of all UEs weighted by
    their samples, as `mean` over all UEs would give. A UE with more than n / k samples is always selected, and
    then counts less than its samples; the others share the rest.

    Reference: Li, Huang, Yang, Wang, Zhang 2020, "On the Convergence of FedAvg on Non-IID Data", scheme I, which
    draws with replacement; Madow 1949, "On the Theory of Systematic Sampling, II".
    """

    def choose(self, state: Any, view: View, free: int) -> Tuple[Any, Tuple[int, ...]]:
        return state, tuple(by_size(view, {ue: float(view.samples[ue]) for ue in view.idle}, free))


class Norms(NamedTuple):
    """The state of importance by norm.

    Fields:
        norms: norm of the last accepted update of each UE.
        weights: weights of the UEs that were chosen last.
    """

    norms: Dict[int, float]
    weights: Dict[int, float]


@dataclass(frozen=True)
class ImportanceByNorm(Selection):
    r"""UEs drawn without replacement, with probabilities from samples times the norm of the last update.

    .. math:: P(u \text{ chosen}) = k s_u / s, \quad s_u = n_u ((1 - \mu) \|\Delta_u\| + \mu \bar{\Delta})

    This holds exactly for k of the UEs, where s is the sum of all s_u; the draw is that of `importance`. A UE
    whose value would be above 1 is always selected, and the others share the rest. The update of a selected UE has
    the weight

    .. math:: \omega_u = \frac{n_u}{n P(u \text{ chosen})}

    where n is the number of all samples. So `aggregation = "weighted_sum"`, which it needs, gives in expectation
    what `mean` over all UEs would give, whatever the norms were, if all selected UEs are accepted. Nothing
    replaces an upload that is late or lost.

    Norms are of the updates as the BS decodes them. :math:`\bar{\Delta}` is the mean over the UEs whose norm is
    known, and is used for the others. At first all are equal, and the draw is that of `importance`. The part
    :math:`\mu` keeps a UE in the draw if its last update was small. A UE that sends a huge update is always
    selected from then on, even if it is malicious.

    Args:
        floor: mu, above 0, at most 1; with 1 the norms have no effect.

    Reference: Chen, Horvath, Richtarik 2020, "Optimal Client Sampling for Federated Learning", which uses the
    norms of the current updates; Horvitz, Thompson 1952 for the weights.
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
        """The sizes in proportion to which the idle UEs are drawn."""
        known = state.norms
        mean = sum(known.values()) / len(known) if any(known.values()) else 1.0
        part = self.floor
        return {ue: view.samples[ue] * ((1 - part) * known.get(ue, mean) + part * mean) for ue in view.idle}

    def weight(self, state: Norms, ue: int) -> float:
        return state.weights[ue]

    def settled(self, state: Norms, round: Settled) -> Norms:
        return state._replace(norms={**state.norms, **{ue: round.norm(ue) for ue in round.accepted}})


def by_size(view: View, sizes: Mapping[int, float], count: int) -> List[int]:
    """A number of idle UEs, each drawn with probability proportional to its size, as far as that is at most 1."""
    draws = briefly(view.seed, "importance", round=view.version)
    start, order = draws.random(), permutation(draws, len(view.idle))
    return in_order([view.idle[place] for place in order.tolist()], sizes, count, start)


def in_order(ues: Sequence[int], sizes: Mapping[int, float], count: int, start: float) -> List[int]:
    """Systematic sampling of UEs in a given order, from a start of 0 to 1."""
    chances = inclusion(np.array([sizes[ue] for ue in ues]), count)
    return [ues[place] for place in systematic(chances, start).tolist()]


def inclusion(sizes: np.ndarray, count: int) -> np.ndarray:
    """The probability of each to be among `count` drawn ones, proportional to its size; at most 1.

    Args:
        sizes: at least 0, shape (n,).
        count: at least 0; if no more sizes are above 0, all of these are taken.
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
    """The positions at which the running sum of the probabilities passes start, start + 1, start + 2, ...

    Args:
        chances: probabilities whose sum is a whole number, each at most 1.
        start: 0 to 1.
    """
    ends = np.cumsum(chances)
    # Rounding may move the sum slightly away from a whole number.
    total = round(float(ends[-1])) if len(ends) else 0
    passed = np.searchsorted(ends, np.arange(total) + start, side="right")
    return np.minimum(passed, len(chances) - 1)
