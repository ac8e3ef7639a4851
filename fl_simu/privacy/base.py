"""The contract of a privacy mechanism: what UEs and the BS do so that the model tells of no single UE."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Iterable, Iterator, Mapping, NamedTuple, Tuple

from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params
from fl_simu.results.columns import Column
from fl_simu.ue.transforms.base import Transform


class Release(NamedTuple):
    """What a round comes to, before anybody but the BS sees it.

    Fields:
        seed: of the experiment, for keyed draws.
        version: number of aggregations behind `current`.
        ues: number of all UEs.
        drawn: number of UEs that a round draws.
        current: the global model so far.
        norms: by UE, of each update that was taken, what `bound` found of it.
        sent: the UEs that put anything on the air in this round.
    """

    seed: int
    version: int
    ues: int
    drawn: int
    current: Params
    norms: Mapping[int, float]
    sent: Tuple[int, ...]


class Mechanism(ABC):
    """Client-level differential privacy: the models of a run hardly reveal whether a UE took part.

    A mechanism bounds the influence of one UE on a round, adds noise, and counts the total privacy loss of the
    rounds as (epsilon, delta). Two runs are neighbours if they differ in all the data of one UE. The numbers of
    the updates are protected. Not protected are the number of accepted updates, their arrival times and their
    numbers of bits, which are assumed to be known. The measurements of the simulation (accuracy, meters) are
    reported without noise.

    Epsilon is exact with `accounting = "none"`, and whenever every UE takes part in every round (Dong, Roth, Su
    2022, corollary 3.3; Balle, Wang 2018). Otherwise it is an upper bound by Rényi divergences (Mironov, Talwar,
    Zhang 2019; Wang, Balle, Kasiviswanathan 2019), from the package dp-accounting, which needs Python 3.10.

    Note:
        A frozen dataclass whose state goes in and comes out: plain data.

    Class attributes:
        state_classes: the named tuples or dataclasses that its state is made of, for a checkpoint.
        active: whether it does anything at all.
    """

    state_classes: ClassVar[Tuple[type, ...]] = ()
    active: ClassVar[bool] = True

    def start(self) -> Any:
        """The state before the first round."""
        return ()

    @property
    def columns(self) -> Mapping[str, Column]:
        """Name -> column, of each round; `release` gives their numbers."""
        return {}

    @property
    def bounds_single(self) -> bool:
        """Whether the BS bounds each update by itself, which it must hear for that."""
        return False

    @property
    def sums_only(self) -> bool:
        """Whether it rests on the BS learning the sum of the uploads and nothing else of them."""
        return False

    @property
    def samples(self) -> bool:
        """Whether it counts on the UEs of a round being drawn uniformly, and on nobody knowing whom."""
        return False

    def check(self, ues: int, drawn: int) -> None:  # noqa: B027
        """Raise UserError unless it keeps its word with so many UEs, and this installation can count it."""

    def transforms(self, drawn: int) -> Tuple[Transform, ...]:
        """What every UE does to its update.

        They come after the transforms of the experiment, since what is done to an update after the noise would no
        longer be bounded by the clipping before it; and before error feedback and the codec, which see the noisy
        update alone.

        Args:
            drawn: number of UEs that a round draws.
        """
        return ()

    def bound(self, state: Any, current: Params, update: Update) -> Tuple[Update, float]:
        """An update as the BS lets it count.

        Args:
            state: what the mechanism remembers.
            current: the global model that the UE started from.
            update: as decoded; not changed.

        Returns:
            The update, and what `release` needs to know of it; by default as it is, and 0.
        """
        return update, 0.0

    @abstractmethod
    def release(self, state: Any, round: Release, combined: Params) -> Tuple[Any, Params, Mapping[str, float]]:
        """What becomes the round's model.

        Args:
            state: what it remembers; not changed.
            round: what the round came to.
            combined: what the aggregation rule made of the bounded updates; not changed.

        Returns:
            The new state, the model, and the numbers of the columns.
        """


@dataclass(frozen=True)
class NoPrivacy(Mechanism):
    """No privacy mechanism."""

    active = False

    def release(self, state: Any, round: Release, combined: Params) -> Tuple[Any, Params, Mapping[str, float]]:
        return state, combined, {}


class Intake:
    """The updates of a round as they pass the BS's bound on their way to the aggregation rule.

    Args:
        mechanism: that bounds them.
        state: what it remembers.
        current: the global model so far.
        updates: as decoded, one at a time.
    """

    def __init__(self, mechanism: Mechanism, state: Any, current: Params, updates: Iterable[Update]) -> None:
        self._mechanism = mechanism
        self._state = state
        self._current = current
        self._updates = updates
        # By UE, of those that have passed.
        self.norms: Dict[int, float] = {}

    def __iter__(self) -> Iterator[Update]:
        for update in self._updates:
            bounded, self.norms[update.ue] = self._mechanism.bound(self._state, self._current, update)
            yield bounded
