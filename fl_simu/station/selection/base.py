"""The contract of client selection."""

from abc import ABC, abstractmethod
from types import MappingProxyType
from typing import Any, Callable, ClassVar, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

NOTHING: Mapping[int, float] = MappingProxyType({})


def _unknown(ue: int) -> Any:
    raise NotImplementedError("nobody tells this here")


class View(NamedTuple):
    """What the BS knows when it selects. Functions are evaluated only when they are called.

    Fields:
        seed: seed of the experiment, for keyed draws.
        version: number of aggregations that led to the global model to be handed out.
        now_s: virtual time [s].
        samples: number of samples of each UE.
        idle: UEs that neither train nor send, ascending.
        rate_mbps: current uplink rate of a UE with the full band [Mbit/s].
        upload_s: duration of its upload at that rate [s]; infinite at a rate of 0.
        compute_s: its training time if it makes all its steps [s].
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
    """The result of an aggregation for the UEs. Functions are evaluated only when they are called. Calls are
    allowed until `settled` returns.

    Fields:
        version: version of the new global model.
        now_s: virtual time [s].
        accepted: UEs of which the BS has accepted something, ascending.
        lasted_s: for each UE that is finished for this time, ascending, the time since the model was sent to it
            [s]. For an accepted UE it ends when its last accepted layer arrived. For any other UE, which was late,
            lost or refused, failed or did not send, it ends now.
        losses: losses of the model that such a UE was handed, on each of its training samples, shape (samples,);
            layers that stay at the UE are in their current state.
        norm: Euclidean norm of the decoded update of an accepted UE, over all its floating-point tensors.
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
        A selection is a frozen dataclass. Its state is passed in and returned.

    Class attributes:
        state_classes: the named tuples or dataclasses in its state, for a checkpoint.
        weighs: whether it gives weights, which the aggregation must use when it adds up updates.
        compares: whether it looks at single updates; it is refused if the BS hears no single update.
    """

    state_classes: ClassVar[Tuple[type, ...]] = ()
    weighs: ClassVar[bool] = False
    compares: ClassVar[bool] = False

    def check(self, ues: int) -> None:  # noqa: B027
        """Raise UserError unless it can choose among this number of UEs."""

    def start(self) -> Any:
        """The state before the first choice: plain data."""
        return ()

    @abstractmethod
    def choose(self, state: Any, view: View, free: int) -> Tuple[Any, Tuple[int, ...]]:
        """Choose the UEs that receive the model now.

        Args:
            state: the state of the selection; not changed.
            view: what the BS knows.
            free: maximum number of UEs to choose, at least 0: the number for a round, or the number of free places
                under an asynchronous protocol.

        Returns:
            The new state, and at most `free` of the idle UEs, in the order of choice. If uploads arrive at the
            same time, that of the UE chosen first counts as the first.
        """

    def weight(self, state: Any, ue: int) -> float:
        """The weight of the update of a UE from the last choice: a finite number above 0, by default 1.

        Args:
            state: the state that `choose` returned.
            ue: one of the UEs that it chose.
        """
        return 1.0

    def settled(self, state: Any, round: Settled) -> Any:
        """The new state once uploads are settled; by default the same state.

        Args:
            state: the state of the selection; not changed.
            round: the result of the aggregation.
        """
        return state
