"""TiFL: UEs of one speed tier take part together."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, List, NamedTuple, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import LARGEST, MOST, require_count
from fl_simu.kernel.randomness import briefly, permutation
from fl_simu.station.selection.base import Selection, View
from fl_simu.station.selection.ranked import ranked


class Tiers(NamedTuple):
    """The state of TiFL.

    Fields:
        ues: the UEs of each tier, the fastest first; empty before the first round.
        credits: how often each tier may still be drawn; empty if there is no limit.
        chances: weight of each tier; only the ratios count.
        drawn: number of the tier of the last round; -1 before the first one.
        looked: version at which losses were last requested; -1 before.
        losses: loss of each tier then.
    """

    ues: Tuple[Tuple[int, ...], ...]
    credits: Tuple[int, ...]
    chances: Tuple[float, ...]
    drawn: int = -1
    looked: int = -1
    losses: Tuple[float, ...] = ()


@dataclass(frozen=True)
class Tiered(Selection):
    """UEs of one speed tier take part together.

    Args:
        credits: how often each tier may be drawn, the fastest first. When no tier that could be drawn has credits
            left, all credits are reset. No limit if not given.
    """

    credits: Tuple[int, ...] = ()

    state_classes: ClassVar[Tuple[type, ...]] = (Tiers,)

    def __post_init__(self) -> None:
        count = len(self.first_chances())
        right = len(self.credits) in (0, count) and all(1 <= one <= MOST for one in self.credits)
        require(right, "credits", self.credits, f"1 to {MOST} for each of the {count} tiers, or none")

    @abstractmethod
    def first_chances(self) -> Tuple[float, ...]:
        """The weights of the tiers in the first round."""

    def start(self) -> Tiers:
        return Tiers((), self.credits, self.first_chances())

    def choose(self, state: Tiers, view: View, free: int) -> Tuple[Tiers, Tuple[int, ...]]:
        if not state.ues:
            state = state._replace(ues=profiled(view, len(state.chances)))
        state, idle = self.adapted(state, view), set(view.idle)
        there = [[ue for ue in ues if ue in idle] for ues in state.ues]
        able = [tier for tier, ues in enumerate(there) if ues and state.chances[tier] > 0]
        if not (free and able):
            return state, ()
        credits = state.credits if any(state.credits[tier] for tier in able if state.credits) else self.credits
        draws = briefly(view.seed, "tier", round=view.version)
        tier = one_of([tier for tier in able if not credits or credits[tier]], state.chances, draws.random())
        order = permutation(draws, len(there[tier])).tolist()
        left = tuple(one - (number == tier) for number, one in enumerate(credits))
        return state._replace(credits=left, drawn=tier), tuple(there[tier][place] for place in order[:free])

    def adapted(self, state: Tiers, view: View) -> Tiers:
        """The state with the weights of the tiers in this round; by default those of the previous round."""
        return state


@dataclass(frozen=True)
class TiflStatic(Tiered):
    """UEs of one speed tier, drawn with fixed probabilities.

    The tiers, the selection of UEs and `credits` are those of `tifl`.

    Args:
        chances: weight of each tier, the fastest first: only the ratios count; at least 0, not all 0. The paper's
            policies for five tiers are "uniform", the default; "fast", 1 and four times 0; "slow", the reverse;
            "random", 0.7, 0.1, 0.1, 0.05, 0.05.

    Reference: Chai et al. 2020, "TiFL: A Tier-based Federated Learning System", the static policies.
    """

    chances: Tuple[float, ...] = (0.2, 0.2, 0.2, 0.2, 0.2)

    def __post_init__(self) -> None:
        finite = all(0 <= one <= LARGEST for one in self.chances)
        require(finite and any(self.chances), "chances", self.chances, "finite numbers, at least 0, not all 0")
        super().__post_init__()

    def check(self, ues: int) -> None:
        require(len(self.chances) <= ues, "chances", self.chances, f"no more tiers than the {ues} ues")

    def first_chances(self) -> Tuple[float, ...]:
        return self.chances


@dataclass(frozen=True)
class Tifl(Tiered):
    """UEs of one speed tier, drawn the more often the worse the model is for the tier.

    Before the first round the BS profiles all UEs by their training time, which they report, plus the time of an
    upload at their current rates. Sorted by this time they are split into tiers of equal size, give or take one;
    the tiers stay. In each round one tier is drawn, then UEs of it, uniformly. If fewer of them are idle than
    there are places, all idle ones are selected and the remaining places stay empty. A tier without an idle UE is
    not drawn.

    Every I rounds the BS asks all UEs for the losses of the global model on their own samples. These replace the
    paper's test set of each tier, and are neither charged nor timed. If the loss of the tier drawn last has not
    fallen since the previous request, the probabilities change: of T tiers the one with the highest loss gets T
    parts, the next T - 1, the last 1. The paper does not say how they follow from the order. At first all are
    equal.

    Args:
        tiers: number of tiers, 1 or more; at most the number of UEs.
        interval: I, in rounds, 1 or more.

    Reference: Chai et al. 2020, "TiFL: A Tier-based Federated Learning System", algorithm 2.
    """

    tiers: int = 5
    interval: int = 10

    def __post_init__(self) -> None:
        require_count("tiers", self.tiers, most=1000)
        require_count("interval", self.interval)
        super().__post_init__()

    def check(self, ues: int) -> None:
        require(self.tiers <= ues, "tiers", self.tiers, f"no more than the {ues} ues")

    def first_chances(self) -> Tuple[float, ...]:
        return (1.0,) * self.tiers

    def adapted(self, state: Tiers, view: View) -> Tiers:
        if state.looked >= 0 and view.version - state.looked < self.interval:
            return state
        losses = tuple(loss_of(ues, view) for ues in state.ues)
        falls = not state.losses or state.drawn < 0 or losses[state.drawn] < state.losses[state.drawn]
        chances = state.chances if falls else by_rank(losses)
        return state._replace(chances=chances, looked=view.version, losses=losses)


def profiled(view: View, count: int) -> Tuple[Tuple[int, ...], ...]:
    """All UEs in a number of tiers, by their time of training and of an upload now; ties are in random order."""
    times = {ue: view.compute_s(ue) + view.upload_s(ue) for ue in sorted(view.samples)}
    order = ranked(view._replace(idle=list(times)), times.__getitem__)
    return tuple(tuple(sorted(tier.tolist())) for tier in np.array_split(np.array(order, dtype=np.int64), count))


def one_of(tiers: Sequence[int], chances: Sequence[float], draw: float) -> int:
    """The tier at which the running sum of the weights passes a draw of 0 to 1 times the total."""
    ends = np.cumsum([chances[tier] for tier in tiers])
    return tiers[min(int(np.searchsorted(ends, draw * ends[-1], side="right")), len(tiers) - 1)]


def loss_of(ues: Sequence[int], view: View) -> float:
    """Mean loss of the global model on all samples of some UEs; 0 if they have none."""
    losses = [view.samples[ue] * view.loss(ue) for ue in ues if view.samples[ue]]
    samples = sum(view.samples[ue] for ue in ues)
    return sum(losses) / samples if samples else 0.0


def by_rank(losses: Sequence[float]) -> Tuple[float, ...]:
    """T for the tier with the highest loss, then T - 1 and so on; ties share, and NaN counts as the highest.

    >>> by_rank([0.5, 2.0, 0.5])
    (1.5, 3.0, 1.5)
    """
    known = [math.inf if math.isnan(loss) else loss for loss in losses]
    found: List[float] = []
    for loss in known:
        lower, equal = sum(one < loss for one in known), sum(one == loss for one in known)
        found.append(lower + (equal + 1) / 2)
    return tuple(found)
