"""The contract of a local algorithm, and plain FedAvg."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Dict, Mapping, NamedTuple, Sequence, Tuple

from fl_simu.kernel.parameters import Params
from fl_simu.ue.optimizers import Optimizer

# Tensors by name: of one model, of a stack of models, or pointers to tensors of a remote model.
Tensors = Mapping[str, Any]
# Named groups of tensors. Tensors of a group have the names of the model's tensors, all or some of them.
Groups = Dict[str, Params]
# The group that contains the global model, for training a UE's own model.
GLOBAL = "global"


class Finished(NamedTuple):
    """The work of a UE in a round.

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
    """The tensors that the BS has accepted from one UE in addition to its model.

    Args:
        ue: index of the UE.
        samples: number of its samples.
        groups: the decoded groups.
    """

    ue: int
    samples: int
    groups: Groups


class Round(NamedTuple):
    """The result of a round at the BS.

    Args:
        current: the global model before the round.
        combined: the result of the aggregation rule for the accepted uploads.
        messages: the tensors that the BS has accepted in addition to the models.
        taken: number of uploads of which the BS has accepted something.
        ues: number of all UEs.
    """

    current: Params
    combined: Params
    messages: Sequence[Message]
    taken: int
    ues: int


class Station(NamedTuple):
    """The tensors that the BS has in addition to the global model.

    Args:
        shared: tensors that it sends with the model, by group.
        kept: tensors that it keeps, by group.
    """

    shared: Groups
    kept: Groups


class LocalAlgorithm(ABC):
    """What local steps add to the gradient of a UE's loss, on every backend.

    An algorithm is a frozen dataclass. The tensors that a UE keeps from round to round, and those that the BS
    sends with the model, form named groups, which are passed in and returned. The tensors that a UE sends with its
    model are encoded, charged and delayed like the model. Those that the BS sends are charged on the downlink.

    Class attributes:
        remembers: whether there is any such group. Without one, the methods for groups are not called.
        personal: whether each UE also trains its own model, which is never sent, with the same number of steps. In
            these steps the global model is the group `global` of what the BS sent, and `start` is the UE's own
            model before. In the steps on the global model there is no such group.
    """

    remembers: ClassVar[bool] = False
    personal: ClassVar[bool] = False

    @property
    def corrects(self) -> bool:
        """Whether there is a correction; without one, nothing is computed for it."""
        return True

    def check(self, optimizer: Optimizer) -> None:  # noqa: B027
        """Raise BadField unless the algorithm is correct with the local optimiser; by default it accepts any."""

    def start(self, model: Params) -> Groups:
        """The memory of a UE before its first round."""
        return {}

    def station(self, model: Params) -> Station:
        """What the BS sends in addition to the first global model, and what it keeps."""
        return Station({}, {})

    def message(self, model: Params) -> Groups:
        """Names, shapes and dtypes of what a UE sends in addition to its model; the values are ignored."""
        return {}

    @abstractmethod
    def correction(
        self, params: Tensors, start: Tensors, memory: Mapping[str, Tensors], shared: Mapping[str, Tensors]
    ) -> Tensors:
        """The term that is added to the gradient of each step, before the optimiser sees it.

        It must work element by element and use only arithmetic, so that it gives the same on tensors, on stacks of
        UEs' tensors and on pointers.

        Args:
            params: the current parameters; not changed.
            start: the same parameters of the global model that the UE was handed.
            memory: the memory of the UE for them, by group.
            shared: what the BS sent for them, by group.
        """

    def finish(self, work: Finished, memory: Groups, shared: Groups) -> Tuple[Groups, Groups]:
        """What the UE sends in addition to its model, and its new memory.

        Args:
            work: its work in this round.
            memory: its memory before; not changed.
            shared: what the BS sent; not changed.
        """
        return {}, memory

    def gather(self, station: Station, round: Round) -> Tuple[Station, Params]:
        """The BS's part of the algorithm, after the aggregation rule and before the server optimiser.

        Args:
            station: what the BS has in addition to the model; not changed.
            round: the result of the round at the BS.

        Returns:
            What the BS has afterwards, and the model for the server optimiser.
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
