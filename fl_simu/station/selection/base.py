"""The contract of client selection."""

from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import Any, Callable, ClassVar, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

NOTHING: Mapping[int, float] = MappingProxyType({})


def _unknown(ue: int) -> Any:
    raise NotImplementedError("nobody tells this here")


class View(NamedTuple):
    """What the BS knows when it selects. What is a function is computed when it is asked.

    Fields:
        seed: of the experiment, for keyed draws.
        version: number of aggregations behind the global model that is to be handed out.
        now_s: virtual time [s].
        samples: number of samples of each UE.
        idle: UEs that neither train nor send, ascending.
        rate_mbps: the rate that a UE's uplink has at this moment, with the whole band [Mbit/s].
        upload_s: how long its upload would take at that rate [s]; infinite at a rate of 0.
        compute_s: how long it will train if it makes all its steps [s].
        loss: mean loss of the global model on its own training samples.
    """

    seed: int
    version: int
    now_s: float
    samples: Mapping[int, int]
    idle: Sequence[int]
    rate_mbps: Callable[[int], float] = _unknown
    upload_s: Callable[[int], float] = _unknown
    compute_s: Callable[[int], float] = _unknown
    loss: Callable[[int], float] = _unknown


class Settled(NamedTuple):
    """What became of the UEs in an aggregation. What is a function is computed when it is asked, and may be asked
    until `settled` returns.

    Fields:
        version: of the new global model.
        now_s: virtual time [s].
        accepted: UEs of which the BS has taken something, ascending.
        lasted_s: of all UEs with which the BS is done for this time, ascending: from the moment when the model was
            sent to it, of an accepted one until the last layer that was taken of it had arrived, of another one,
            which was late, lost or refused, failed or did not send, until now [s].
        losses: of the model that one of these was handed, on each of its training samples, shape (samples,); with
            layers that stay at the UE as they are now.
        norm: Euclidean norm of the update of an accepted one, as decoded, over all its floating-point tensors.
    """

    version: int
    now_s: float
    accepted: Tuple[int, ...]
    lasted_s: Mapping[int, float] = NOTHING
    losses: Callable[[int], np.ndarray] = _unknown
    norm: Callable[[int], float] = _unknown


class Selection(ABC):
    """Which UEs receive the global model.

    The BS chooses `ues_per_round` of the UEs that neither train nor send at that moment. Under `buffered` it
    chooses as many as there are free places.

    Note:
        A selection is a frozen dataclass whose state goes in and comes out.

    Class attributes:
        state_classes: the named tuples or dataclasses that its state is made of, for a checkpoint.
        weighs: whether it tells weights, by which aggregation has to add updates up.
        compares: whether it looks at single updates; where the BS hears none it is refused.
    """

    state_classes: ClassVar[Tuple[type, ...]] = ()
    weighs: ClassVar[bool] = False
    compares: ClassVar[bool] = False

    def check(self, ues: int) -> None:  # noqa: B027
        """Raise UserError unless it can choose among so many UEs."""

    def start(self) -> Any:
        """The state before the first choice: plain data."""
        return ()

    @abstractmethod
    def choose(self, state: Any, view: View, free: int) -> Tuple[Any, Tuple[int, ...]]:
        """Whom to hand the model now.

        Args:
            state: what it remembers; not changed.
            view: what the BS knows.
            free: how many may be chosen, at least 0: all that a round draws, or under an asynchronous protocol the
                places that are free.

        Returns:
            The new state, and at most `free` of the idle UEs, in the order in which they are chosen: of uploads
            that arrive at the same moment, that of the first one counts as first.
        """

    def weight(self, state: Any, ue: int) -> float:
        """What an update counts of a UE that was chosen last: a finite number above 0, by default 1.

        Args:
            state: as `choose` gave it.
            ue: one of those that it chose.
        """
        return 1.0

    def settled(self, state: Any, round: Settled) -> Any:
        """What it remembers once uploads were settled; by default what it did.

        Args:
            state: not changed.
            round: what became of them.
        """
        return state
