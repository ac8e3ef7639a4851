"""Selections that rank the idle UEs; ties are in random order."""

import math
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Mapping, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import LARGEST, require_count
from fl_simu.kernel.randomness import briefly, permutation
from fl_simu.station.selection.base import Selection, Settled, View


def ranked(view: View, key: Callable[[int], Any]) -> List[int]:
    """The idle UEs by a key, the smallest first; ties are in an order that is drawn again each time."""
    drawn = permutation(briefly(view.seed, "ties", round=view.version), len(view.idle)).tolist()
    return sorted((view.idle[place] for place in drawn), key=key)


def by_weight(view: View, stage: str, weights: Mapping[int, float]) -> List[int]:
    """UEs drawn without replacement, one after the other, with probabilities proportional to their weights.

    UEs of weight 0 come last and those of infinite weight first, in random order.
    """
    draws = -np.log1p(-briefly(view.seed, stage, round=view.version).random(len(view.samples)))
    # The order of exponential times with the weights as rates is distributed as these draws.
    times = {ue: (draws[ue] / weight if weight else math.inf, draws[ue]) for ue, weight in weights.items()}
    return sorted(times, key=times.__getitem__)


@dataclass(frozen=True)
class BestChannel(Selection):
    """The UEs with the highest rates at the moment of selection.

    The BS measures the rate of every idle UE when it selects. The rate at which a UE later sends may differ.

    Reference: Yang, Liu, Quek, Poor 2020, "Scheduling Policies for Federated Learning in Wireless Networks".
    """

    def choose(self, state: Any, view: View, free: int) -> Tuple[Any, Tuple[int, ...]]:
        return state, tuple(ranked(view, lambda ue: -view.rate_mbps(ue))[:free])


@dataclass(frozen=True)
class ProportionalFair(Selection):
    r"""The UEs with the highest rate relative to what they have received so far.

    .. math:: \frac{r_u}{R_u}, \quad R_u \leftarrow (1 - 1/w) R_u + [u \text{ chosen}] \, r_u / w

    where r_u is the rate at the moment of selection. R_u starts as the first rate that the BS sees of the UE, so
    that all UEs are equal at first.

    Args:
        window: averaging window w, in selections; 1 or more.

    Reference: Yang, Liu, Quek, Poor 2020, "Scheduling Policies for Federated Learning in Wireless Networks";
    Kelly, Maulloo, Tan 1998, "Rate Control for Communication Networks".
    """

    window: float = 100.0

    def __post_init__(self) -> None:
        require(1 <= self.window <= LARGEST, "window", self.window, f"1 to {LARGEST:g}")

    def start(self) -> Dict[int, float]:
        return {}

    def choose(self, state: Any, view: View, free: int) -> Tuple[Any, Tuple[int, ...]]:
        rates = {ue: view.rate_mbps(ue) for ue in view.idle}
        had = {**rates, **state}
        # A UE that has never had a rate above 0 is served first once it has one.
        gain = {ue: rate / had[ue] if had[ue] else float(rate > 0) * LARGEST for ue, rate in rates.items()}
        ues = tuple(ranked(view, lambda ue: -gain[ue])[:free])
        chosen, part = set(ues), 1 / self.window
        after = {ue: (1 - part) * one + (part * rates[ue] if ue in chosen else 0.0) for ue, one in had.items()}
        return after, ues


@dataclass(frozen=True)
class Age(Selection):
    """The UEs from which the BS has accepted nothing for longest; ties go to the highest rates.

    The age of a UE is the number of aggregations since the last one that included something from it.

    Reference: Yang, Arafa, Quek, Poor 2020, "Age-Based Scheduling Policy for Federated Learning in Mobile Edge
    Networks".
    """

    def start(self) -> Dict[int, int]:
        return {}

    def choose(self, state: Any, view: View, free: int) -> Tuple[Any, Tuple[int, ...]]:
        return state, tuple(ranked(view, lambda ue: (state.get(ue, 0), -view.rate_mbps(ue)))[:free])

    def settled(self, state: Any, round: Settled) -> Any:
        return {**state, **dict.fromkeys(round.accepted, round.version)}


@dataclass(frozen=True)
class PowerOfChoice(Selection):
    """Among some candidates, the UEs on whose data the global model has the highest loss.

    Candidates are drawn without replacement, one after the other, with probabilities proportional to their numbers
    of samples. Their losses are those of the model that is about to be sent, on all of their own samples.
    Computing them is neither charged nor timed.

    Args:
        candidates: number of candidate UEs, 1 or more; at least the number of UEs that may be selected.

    Reference: Cho, Wang, Joshi 2020, "Client Selection in Federated Learning: Convergence Analysis and
    Power-of-Choice Selection Strategies".
    """

    candidates: int = 10

    def __post_init__(self) -> None:
        require_count("candidates", self.candidates)

    def choose(self, state: Any, view: View, free: int) -> Tuple[Any, Tuple[int, ...]]:
        if not free:
            return state, ()
        drawn = by_weight(view, "candidates", {ue: view.samples[ue] for ue in view.idle})
        asked = drawn[: max(self.candidates, free)]
        losses = {ue: view.loss(ue) for ue in asked}
        return state, tuple(sorted(asked, key=lambda ue: -losses[ue])[:free])
