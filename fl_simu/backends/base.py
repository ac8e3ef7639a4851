"""The contract of a backend: how UEs train, never what they train."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Callable, ClassVar, List, NamedTuple, Optional, Sequence

from fl_simu.kernel.parameters import Params
from fl_simu.ue.training import LocalTraining, Shard, Task, Trained

# A function that returns the results for the items, in their order.
Measuring = Callable[[], List[Any]]


class StepWork(NamedTuple):
    """The amount of training work.

    Args:
        multiply_adds: approximate number in a step, forward and backward.
        ues: number of UEs that are selected for a round.
        threads: number of torch threads.
    """

    multiply_adds: int
    ues: int
    threads: int


class Backend(ABC):
    """Places data, hands out models, trains, and fetches models.

    `place` is called once for each UE; then `train` and `get`, for any UEs and any number of times. Except for
    tasks under way, a backend holds no state that affects a result: the memory of a UE is passed in and returned.
    Whatever a backend does in between, `get` returns the same as the plain loop for the same task and data: bit
    for bit on one stack, or within the tolerance that the backend states.

    Args:
        training: the local training of every UE in a round.

    Class attributes:
        stacks: whether the last bits of a UE's model depend on the UEs that train together with it, so that only
            the same group of tasks gives the same models again.
        aside: whether UEs train, and models are measured, while this process does something else.
    """

    stacks: ClassVar[bool] = False
    aside: ClassVar[bool] = False

    def __init__(self, training: LocalTraining) -> None:
        self.training = training

    # The function that `measure` applies to a model and one item.
    measuring: Optional[Callable[[Params, Any], Any]] = None

    @abstractmethod
    def place(self, ue: int, shard: Shard) -> None:
        """Give a UE its data, once."""

    @abstractmethod
    def train(self, tasks: Sequence[Task]) -> None:
        """Give the global model to these UEs, none of which holds a model, and start their local steps of a round.

        The backend does not change the tensors of a task.
        """

    @abstractmethod
    def get(self, ue: int) -> Trained:
        """The model that a UE has trained. The UE then no longer holds it.

        Its tensors may be slices of a tensor with many UEs' models: copy a tensor that you keep for long.
        """

    @abstractmethod
    def peek(self, ue: int) -> Params:
        """The model that a UE has trained and still holds. These tensors must not be changed."""

    @abstractmethod
    def give_up(self, ue: int) -> None:
        """Drop the task of a UE, if it has one: its model will not be fetched."""

    def measure(self, params: Params, items: Sequence[Any]) -> "Measuring":
        """Apply `measuring`, which is set before any UE trains, to a model and each item.

        By default this happens when the result is requested. With workers, it begins before any task that has not
        begun yet.

        Args:
            params: the model; not changed.
            items: small values that can be sent to workers.
        """
        work = self.measuring
        assert work is not None
        return lambda: [work(params, item) for item in items]

    @abstractmethod
    def close(self) -> None:
        """Release everything that the UEs hold."""


@dataclass(frozen=True)
class BackendSpec(ABC):
    """How local training is executed, never what it computes.

    Every backend uses the same random draws and gives the same weights, bit for bit or within the tolerance that
    it states.
    """

    def chosen(self, work: "Callable[[], StepWork]") -> "BackendSpec":
        """The backend to run: this one, unless it leaves the choice to this installation.

        Args:
            work: function that returns the amount of training work.
        """
        return self

    def anywhere(self) -> "BackendSpec":
        """The same backend without particular machines: where it runs does not affect the result."""
        return self

    @property
    def fast(self) -> bool:
        """Whether it may round differently from the plain loop; see `LocalTraining`."""
        return False

    @classmethod
    def missing(cls) -> str:
        """What this installation lacks for it, in a few words; empty if it lacks nothing."""
        return ""

    @classmethod
    def whose(cls) -> str:
        """Which implementation it runs on here, if there are several; otherwise empty."""
        return ""

    def how(self) -> str:
        """The implementation and the number of workers, in a few words for the first line of a run."""
        return self.whose()

    @abstractmethod
    def build(self, training: LocalTraining) -> Backend:
        """Create the backend, without UEs.

        Raises:
            UserError: the backend cannot run this training here.
        """
