"""Oort: UEs with high losses that answer soon, and some that have never been accepted."""

import math
from dataclasses import dataclass
from typing import ClassVar, Dict, List, NamedTuple, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_count, require_factor
from fl_simu.kernel.randomness import briefly
from fl_simu.station.selection.base import Selection, Settled, View
from fl_simu.station.selection.ranked import by_weight


class Explored(NamedTuple):
    """What the BS knows of a UE from which it has accepted something.

    Fields:
        utility: statistical utility of its last accepted upload.
        round: last round in which one of its uploads was settled, counted from 1.
        lasted_s: duration of this upload, or of the BS's waiting if nothing was accepted [s].
    """

    utility: float
    round: int
    lasted_s: float


class Known(NamedTuple):
    """The state of Oort.

    Fields:
        explored: the UEs from which something was accepted.
        waited_s: how long the BS waited for each UE that was tried but never accepted [s].
        percentile: percentile of the durations that is the preferred duration.
        gained: total utility accepted in the last complete window, and so far in this one.
    """

    explored: Dict[int, Explored]
    waited_s: Dict[int, float]
    percentile: float
    gained: Tuple[float, float]


@dataclass(frozen=True)
class Oort(Selection):
    r"""UEs with high losses that do not take too long, and a share of UEs that have never been accepted.

    .. math:: U_u = |B_u| \sqrt{\frac{1}{|B_u|} \sum_{i \in B_u} l_i^2}

    is the statistical utility, where l_i is the loss of each of the UE's samples under the model that it received
    last. Over the UEs whose utility is known, it is clipped at a quantile and scaled to 0 to 1 (with 0 at 0.999
    times the smallest one). The score is

    .. math:: \left(U_u + \sqrt{0.1 \ln R / L_u}\right) \left(T / t_u\right)^{\alpha [t_u > T]}

    where R is the number of this round, L_u the last round in which the UE took part, t_u the time in s from the
    broadcast to the last layer accepted from it, and T the preferred duration.

    Of k places, a share epsilon goes to UEs from which nothing has been accepted yet. They are drawn by speed:
    with probabilities proportional to 1 over the time of training and of an upload at the current rate. The other
    places go to known UEs, drawn with probabilities proportional to their scores, among those with a score of at
    least 1 - c times the lowest of the best ones. If k (1 - epsilon) is not a whole number it is rounded at
    random, so that it is right on average even if few UEs are selected.

    T is a percentile of the durations seen, as in the authors' code; the paper's algorithm adds seconds to it. As
    in the paper, the pacer raises the percentile when the total utility accepted in a window of rounds is lower
    than in the window before. At 100 no UE is too slow.

    A UE from which nothing is accepted, because it is late or drops out, counts as taking as long as the BS has
    waited for it. A known UE then counts as slower; an unknown one counts as slower to explore. It is never
    excluded for good. The UEs report their losses at no cost, and truthfully; a loss that is not finite makes the
    utility 0.

    The paper's list of UEs that were selected too often and its noise on utilities are not implemented.

    Args:
        exploration: epsilon of the first round, 0 to 1.
        decay: factor on epsilon in each round, 0 to 1.
        least: lower bound of epsilon, 0 to 1.
        penalty: alpha, 0 or more.
        percentile: initial percentile of the durations, 0 to 100.
        window: window of the pacer in rounds, 1 or more.
        step: step by which the pacer raises the percentile, 0 to 100.
        clip: quantile at which utilities are clipped, 0 to 1.
        cut_off: c, 0 to 1.

    Reference: Lai, Zhu, Madhyastha, Chowdhury 2021, "Oort: Efficient Federated Learning via Guided Participant
    Selection", algorithm 1; for the normalisation, the percentile and the defaults, the authors' code in FedScale.
    """

    exploration: float = 0.9
    decay: float = 0.98
    least: float = 0.3
    penalty: float = 2.0
    percentile: float = 30.0
    window: int = 20
    step: float = 5.0
    clip: float = 0.9
    cut_off: float = 0.05

    state_classes: ClassVar[Tuple[type, ...]] = (Explored, Known)

    def __post_init__(self) -> None:
        for field in ("exploration", "decay", "least", "clip", "cut_off"):
            require(0 <= getattr(self, field) <= 1, field, getattr(self, field), "0 to 1")
        for field in ("percentile", "step"):
            require(0 <= getattr(self, field) <= 100, field, getattr(self, field), "0 to 100")
        require_factor("penalty", self.penalty, or_zero=True)
        require_count("window", self.window)

    def start(self) -> Known:
        return Known({}, {}, self.percentile, (0.0, 0.0))

    def choose(self, state: Known, view: View, free: int) -> Tuple[Known, Tuple[int, ...]]:
        if not free:
            return state, ()
        known = [ue for ue in view.idle if ue in state.explored]
        new = len(view.idle) - len(known)
        epsilon = max(self.exploration * self.decay**view.version, self.least)
        rounding = briefly(view.seed, "exploration", round=view.version).random()
        best = min(int((1 - epsilon) * free + rounding), len(known))
        best = min(max(best, free - new), len(known))
        exploited = self._exploited(state, view, known, best)
        return state, (*exploited, *self._explored(state, view)[: free - best])

    def _exploited(self, state: Known, view: View, known: List[int], count: int) -> List[int]:
        if not count:
            return []
        worth = self.worth(state, known, view.version + 1)
        cut = (1 - self.cut_off) * sorted(worth.values(), reverse=True)[count - 1]
        return by_weight(view, "exploitation", {ue: one for ue, one in worth.items() if one >= cut})[:count]

    def worth(self, state: Known, ues: List[int], round: int) -> Dict[int, float]:
        """The score of each known UE in the round of this number, counted from 1."""
        found = {ue: state.explored[ue] for ue in ues}
        utilities = sorted(one.utility for one in found.values())
        clipped = quantile(utilities, self.clip)
        least = 0.999 * utilities[0]
        span = max(utilities[-1] - least, 1e-4)
        preferred_s = math.inf
        if state.percentile < 100:
            durations = sorted(one.lasted_s for one in state.explored.values())
            preferred_s = quantile(durations, state.percentile / 100)
        worth = {}
        for ue, one in found.items():
            worth[ue] = (min(one.utility, clipped) - least) / span + math.sqrt(0.1 * math.log(round) / one.round)
            if one.lasted_s > preferred_s:
                worth[ue] *= (preferred_s / one.lasted_s) ** self.penalty
        return worth

    def _explored(self, state: Known, view: View) -> List[int]:
        speeds = {}
        for ue in view.idle:
            if ue not in state.explored:
                time_s = max(view.compute_s(ue) + view.upload_s(ue), state.waited_s.get(ue, 0.0))
                speeds[ue] = 1 / time_s if time_s else math.inf
        return by_weight(view, "exploration by speed", speeds)

    def settled(self, state: Known, round: Settled) -> Known:
        explored, waited_s = dict(state.explored), dict(state.waited_s)
        accepted, gain = set(round.accepted), 0.0
        for ue, lasted_s in round.lasted_s.items():
            if ue in accepted:
                explored[ue] = Explored(utility(round.losses(ue)), round.version, lasted_s)
                gain += explored[ue].utility
                waited_s.pop(ue, None)
            elif ue in explored:
                one = explored[ue]
                explored[ue] = Explored(one.utility, round.version, max(one.lasted_s, lasted_s))
            else:
                waited_s[ue] = max(waited_s.get(ue, 0.0), lasted_s)
        before, now = state.gained
        percentile, gained = state.percentile, (before, now + gain)
        if round.version % self.window == 0:
            if round.version > self.window and before > now + gain:
                percentile = min(100.0, percentile + self.step)
            gained = (now + gain, 0.0)
        return Known(explored, waited_s, percentile, gained)


def quantile(ordered: List[float], share: float) -> float:
    """The number below which this share of some ascending numbers lies, as FedScale computes it."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def utility(losses: np.ndarray) -> float:
    """|B| times the root mean square of the losses, shape (samples,); 0 if they are not finite.

    >>> round(utility(np.array([3.0, 4.0])) / 2, 6) == round(12.5**0.5, 6)
    True
    """
    squares = float((losses.astype(np.float64) ** 2).sum())
    return math.sqrt(len(losses) * squares) if math.isfinite(squares) else 0.0
