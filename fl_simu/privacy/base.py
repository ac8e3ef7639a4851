"""The contract of a privacy mechanism: what UEs and the BS do so that the model does not reveal a single UE."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Iterable, Iterator, Mapping, NamedTuple, Tuple

from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params
from fl_simu.results.columns import Column
from fl_simu.ue.transforms.base import Transform


class Release(NamedTuple):
    """The state of a round before it is released, i.e. while only the BS knows it.

    Fields:
        seed: seed of the experiment, for keyed draws.
        version: number of aggregations that led to `current`.
        ues: number of all UEs.
        drawn: number of UEs that are selected for a round.
        current: the global model so far.
        norms: for each accepted update, by UE, the number that `bound` returned.
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
        A mechanism is a frozen dataclass. Its state is plain data, which is passed in and returned.

    Class attributes:
        state_classes: the named tuples or dataclasses in its state, for a checkpoint.
        active: whether it does anything.
    """

    state_classes: ClassVar[Tuple[type, ...]] = ()
    active: ClassVar[bool] = True

    def start(self) -> Any:
        """The state before the first round."""
        return ()

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns of each round, by name; `release` returns their numbers."""
        return {}

    @property
    def bounds_single(self) -> bool:
        """Whether the BS bounds each single update; it must then hear single updates."""
        return False

    @property
    def sums_only(self) -> bool:
        """Whether it relies on the BS learning only the sum of the uploads."""
        return False

    @property
    def samples(self) -> bool:
        """Whether it relies on a uniform selection of the UEs of a round, and on the selection being secret."""
        return False

    def check(self, ues: int, drawn: int) -> None:  # noqa: B027
        """Raise UserError unless its guarantee holds for these numbers and can be computed here."""

    def transforms(self, drawn: int) -> Tuple[Transform, ...]:
        """What every UE does to its update.

        These transforms come after those of the experiment, because clipping would not bound changes to the update
        after it. They come before error feedback and the codec, which see only the noisy update.

        Args:
            drawn: number of UEs that are selected for a round.
        """
        return ()

    def bound(self, state: Any, current: Params, update: Update) -> Tuple[Update, float]:
        """Bound an update at the BS.

        Args:
            state: the state of the mechanism.
            current: the global model that the UE started from.
            update: the decoded update; not changed.

        Returns:
            The bounded update, and a number for `release`; by default the same update, and 0.
        """
        return update, 0.0

    @abstractmethod
    def release(self, state: Any, round: Release, combined: Params) -> Tuple[Any, Params, Mapping[str, float]]:
        """Compute the model of the round that is released.

        Args:
            state: the state of the mechanism; not changed.
            round: the state of the round.
            combined: the result of the aggregation rule for the bounded updates; not changed.

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
    """The updates of a round, each bounded by the BS on its way to the aggregation rule.

    Args:
        mechanism: the mechanism that bounds them.
        state: its state.
        current: the global model so far.
        updates: the decoded updates, one at a time.
    """

    def __init__(self, mechanism: Mechanism, state: Any, current: Params, updates: Iterable[Update]) -> None:
        self._mechanism = mechanism
        self._state = state
        self._current = current
        self._updates = updates
        # The numbers from `bound`, by UE, for the updates so far.
        self.norms: Dict[int, float] = {}

    def __iter__(self) -> Iterator[Update]:
        for update in self._updates:
            bounded, self.norms[update.ue] = self._mechanism.bound(self._state, self._current, update)
            yield bounded
