"""The contract of a local algorithm, and the plain one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Mapping, NamedTuple, Sequence, Tuple

from fl_simu.kernel.parameters import Params
from fl_simu.ue.optimizers import Optimizer

# Tensors by name: of one model, of a stack of models, or pointers to those of a remote one.
Tensors = Mapping[str, Any]
# Named groups of tensors, each named as the model's tensors are, all or some of them.
Groups = Dict[str, Params]
# The group by which a UE's own model knows the global one.
GLOBAL = "global"


class Finished(NamedTuple):
    """What a UE has done in a round.

    Args:
        start: the global model that it was handed.
        trained: the model that it sends.
        steps: number of its local steps.
        lr: learning rate of its optimiser.
    """

    start: Params
    trained: Params
    steps: int
    lr: float


class Message(NamedTuple):
    """What the BS has taken of one UE beside its model.

    Args:
        ue: index of the UE.
        samples: number of its samples.
        groups: as decoded.
    """

    ue: int
    samples: int
    groups: Groups


class Round(NamedTuple):
    """What the BS has made of a round.

    Args:
        current: the global model before it.
        combined: what the aggregation rule made of the accepted uploads.
        messages: what it has taken beside their models.
        taken: number of uploads of which it has taken something.
        ues: number of all UEs.
    """

    current: Params
    combined: Params
    messages: Sequence[Message]
    taken: int
    ues: int


class Station(NamedTuple):
    """What the BS has beside the global model.

    Args:
        shared: what it sends with the model, by group.
        kept: what it keeps for itself, by group.
    """

    shared: Groups
    kept: Groups


class LocalAlgorithm(ABC):
    """What local steps add to the gradient of a UE's loss; on every backend.

    An algorithm is a frozen dataclass. The tensors that a UE keeps from round to round, and those that the BS
    sends with the model, form named groups, which are passed in and returned. The tensors that a UE sends with its
    model are encoded, charged and delayed like the model. Those that the BS sends are charged on the downlink.

    Class attributes:
        remembers: whether there is any such group; where there is none, nothing of it is asked.
        personal: whether each UE also trains a model of its own, which is never sent, in as many steps. In them
            the global model is the group `global` of what the BS sent, and `start` is the UE's own model before;
            in the steps on the global model there is no such group.
    """

    remembers: ClassVar[bool] = False
    personal: ClassVar[bool] = False

    @property
    def corrects(self) -> bool:
        """Whether there is a correction; where there is none, nothing is computed for it."""
        return True

    def check(self, optimizer: Optimizer) -> None:  # noqa: B027
        """Raise BadField unless the local optimiser is one that it is right with; by default any is."""

    def start(self, model: Params) -> Groups:
        """What a UE remembers before its first round."""
        return {}

    def station(self, model: Params) -> Station:
        """What the BS sends beside the first global model, and what it keeps."""
        return Station({}, {})

    def message(self, model: Params) -> Groups:
        """Names, shapes and dtypes of what a UE sends beside its model; the numbers do not count."""
        return {}

    @abstractmethod
    def correction(
        self, params: Tensors, start: Tensors, memory: Mapping[str, Tensors], shared: Mapping[str, Tensors]
    ) -> Tensors:
        """What is added to the gradient of each step, before the optimiser sees it.

        It works element by element, with arithmetic alone, so that it is the same on tensors, on stacks of UEs'
        tensors and on pointers.

        Args:
            params: the parameters now; not changed.
            start: the same parameters of the global model that the UE was handed.
            memory: what the UE remembers of them, by group.
            shared: what the BS sent of them, by group.
        """

    def finish(self, work: Finished, memory: Groups, shared: Groups) -> Tuple[Groups, Groups]:
        """What the UE sends beside its model, and what it remembers now.

        Args:
            work: what it has done.
            memory: what it remembered before; not changed.
            shared: what the BS sent; not changed.
        """
        return {}, memory

    def gather(self, station: Station, round: Round) -> Tuple[Station, Params]:
        """The BS's part of the algorithm, after the aggregation rule and before the server optimiser.

        Args:
            station: what the BS has beside the model; not changed.
            round: what it has made of the round.

        Returns:
            What it has then, and the model that goes on to the server optimiser.
        """
        return station, round.combined


@dataclass(frozen=True)
class FedAvg(LocalAlgorithm):
    """Plain local steps (McMahan et al. 2017)."""

    @property
    def corrects(self) -> bool:
        return False

    def correction(
        self, params: Tensors, start: Tensors, memory: Mapping[str, Tensors], shared: Mapping[str, Tensors]
    ) -> Tensors:
        return {}


def flat(groups: Groups) -> Params:
    """All tensors of the groups, named "group/name"."""
    return {f"{group}/{name}": tensor for group, params in groups.items() for name, tensor in params.items()}


def grouped(params: Params) -> Groups:
    """The inverse of `flat`."""
    groups: Groups = {}
    for name, tensor in params.items():
        group, _, own = name.partition("/")
        groups.setdefault(group, {})[own] = tensor
    return groups
