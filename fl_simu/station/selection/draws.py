"""Uniform selection."""

from dataclasses import dataclass
from itertools import islice
from typing import Any, Tuple

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
