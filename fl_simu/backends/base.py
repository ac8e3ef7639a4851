"""The contract of a backend: how UEs train, never what they train."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Callable, ClassVar, List, NamedTuple, Optional, Sequence

from fl_simu.kernel.parameters import Params
from fl_simu.ue.training import LocalTraining, Shard, Task, Trained

# Tells, in their order, what was made of items.
Measuring = Callable[[], List[Any]]


class StepWork(NamedTuple):
    """How much there is to do.

    Args:
        multiply_adds: of a step forward and backward, about.
        ues: that a round draws.
        threads: of torch.
    """

    multiply_adds: int
    ues: int
    threads: int


class Backend(ABC):
    """Places data, hands out models, trains, and fetches models.

    The order is `place` once for each UE; then, for any UEs and any number of times, `train`, `get`. A backend
    holds nothing that decides a result but the tasks under way: what a UE remembers goes in and comes out.
    Whatever a backend does in between, `get` returns what the plain loop gives for the same task and data: bit for
    bit on one stack, or within the tolerance that the backend states.

    Args:
        training: what every UE does in a round.

    Class attributes:
        stacks: whether the last bits of a UE's model depend on who trains with it, so that only the same tasks
            handed over together give the same models again.
        aside: whether UEs train, and models are measured, while this process does something else.
    """

    stacks: ClassVar[bool] = False
    aside: ClassVar[bool] = False

    def __init__(self, training: LocalTraining) -> None:
        self.training = training

    # What `measure` does with a model and one item.
    measuring: Optional[Callable[[Params, Any], Any]] = None

    @abstractmethod
    def place(self, ue: int, shard: Shard) -> None:
        """Give a UE its data, once."""

    @abstractmethod
    def train(self, tasks: Sequence[Task]) -> None:
        """Hand these UEs, none of which holds a model, the global one, and let them make a round's local steps.

        The backend does not change the tensors of a task.
        """

    @abstractmethod
    def get(self, ue: int) -> Trained:
        """What a UE has trained, which it then no longer holds.

        Its tensors may be slices of one that holds many UEs' models: who keeps one for long, copies it.
        """

    @abstractmethod
    def peek(self, ue: int) -> Params:
        """The model that a UE has trained, which it still holds. Nobody may change these tensors."""

    @abstractmethod
    def give_up(self, ue: int) -> None:
        """Nobody will fetch what a UE trains, if it does."""

    def measure(self, params: Params, items: Sequence[Any]) -> "Measuring":
        """Let `measuring`, which is set before any UE trains, tell of a model what it makes of each item.

        Here it is done when it is asked for; where workers do it, it begins before what was not begun so far.

        Args:
            params: the model; nobody changes it.
            items: what small things are sent for.
        """
        work = self.measuring
        assert work is not None
        return lambda: [work(params, item) for item in items]

    @abstractmethod
    def close(self) -> None:
        """Let go of everything that the UEs hold."""


@dataclass(frozen=True)
class BackendSpec(ABC):
    """How local training is executed, never what it computes.

    Every backend uses the same random draws and gives the same weights, bit for bit or within the tolerance that
    it states.
    """

    def chosen(self, work: "Callable[[], StepWork]") -> "BackendSpec":
        """What is run here: itself, unless it leaves the choice to this installation.

        Args:
            work: tells how much there is to do.
        """
        return self

    def anywhere(self) -> "BackendSpec":
        """The same on no particular machines: where it runs decides no result."""
        return self

    @property
    def fast(self) -> bool:
        """Whether it may round otherwise than the plain loop does; see `LocalTraining`."""
        return False

    @classmethod
    def missing(cls) -> str:
        """What this installation lacks for it, in a few words; empty where it lacks nothing."""
        return ""

    @classmethod
    def whose(cls) -> str:
        """Whose implementation it runs on here, where there are several; empty where there is one."""
        return ""

    def how(self) -> str:
        """Whose implementation, and how many workers, in a few words for the line that a run begins with."""
        return self.whose()

    @abstractmethod
    def build(self, training: LocalTraining) -> Backend:
        """The backend, with no UE yet.

        Raises:
            UserError: it cannot run this here.
        """
