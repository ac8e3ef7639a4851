"""The contract of client selection."""

from abc import ABC, abstractmethod
from typing import Any, Callable, ClassVar, Mapping, NamedTuple, Sequence, Tuple


def _unknown(ue: int) -> float:
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
    """What became of the UEs in an aggregation.

    Fields:
        version: of the new global model.
        now_s: virtual time [s].
        accepted: UEs of which the BS has taken something, ascending.
    """

    version: int
    now_s: float
    accepted: Tuple[int, ...]


class Selection(ABC):
    """Who is handed the global model.

    The BS chooses `ues_per_round` of the UEs that neither train nor send at that moment, or, under `buffered`, as
    many as have places free.

    Note:
        A selection is a frozen dataclass whose state goes in and comes out.

    Class attributes:
        state_classes: the named tuples or dataclasses that its state is made of, for a checkpoint.
    """

    state_classes: ClassVar[Tuple[type, ...]] = ()

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

    def settled(self, state: Any, round: Settled) -> Any:
        """What it remembers once uploads were settled; by default what it did.

        Args:
            state: not changed.
            round: what became of them.
        """
        return state
