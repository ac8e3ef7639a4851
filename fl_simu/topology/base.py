"""The contract of a topology, and the one with a single BS."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from fl_simu.results.columns import Column

COLUMNS = {"backhaul_bits": Column("bit", "sent over the backhaul", axis=True)}


class Backhaul(NamedTuple):
    """The time and traffic to carry a model between an edge and the cloud.

    Args:
        up_s: time from the edge to the cloud [s].
        down_s: time back [s].
        copies: number of models on the backhaul whose bits are counted: 1 if the way back is free, otherwise 2.
    """

    up_s: float = 0.0
    down_s: float = 0.0
    copies: int = 1


class Topology(ABC):
    """Which base stations there are, and which UEs belong to each.

    Under `flat` one BS has all UEs. Otherwise each UE belongs to one edge, and there is a cloud above the edges.
    An edge is a separate BS: protocol, selection, aggregation, medium, uplink and downlink are those of the
    experiment, with the edge's UEs alone, and `ues_per_round` counts at each edge.

    Each edge starts from the cloud's model, makes some rounds, called edge rounds, and sends the resulting model
    over the backhaul as float32. The cloud waits for all edges, averages their models, hands the mean to all of
    them, and evaluates it. That is one round: `rounds`, `evaluation`, `stop` and `checkpoint` refer to rounds of
    the cloud, and `server` belongs to the cloud. The random draws of an edge round and the learning rate depend on
    the number of edge rounds so far.

    Note:
        A topology is a frozen dataclass. Its draws come from `kernel.randomness`, keyed by the seed that it gets.

    Class attributes:
        active: whether there are edges and a cloud.
    """

    active: ClassVar[bool] = True

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns of each round, by name."""
        return COLUMNS if self.active else {}

    @property
    def rounds_each(self) -> int:
        """Number of edge rounds of each edge in a round."""
        return 1

    def check(self, ues: int) -> None:  # noqa: B027
        """Raise BadField unless this number of UEs can be assigned to the edges."""

    @abstractmethod
    def sizes(self, ues: int) -> Tuple[int, ...]:
        """Number of UEs of each edge, at least 1, given the total; known before any data are read."""

    @abstractmethod
    def groups(self, labels: Sequence[np.ndarray], seed: int) -> Tuple[Tuple[int, ...], ...]:
        """The UEs of each edge, ascending. Each UE belongs to one edge.

        Args:
            labels: class of each training sample of each UE, int64; not changed.
            seed: seed of the experiment, for keyed draws.
        """

    def backhaul(self, edge: int, load_mbit: float) -> Backhaul:
        """The time and traffic to carry a model of this load between edge number `edge` and the cloud."""
        return Backhaul()

    def weight(self, samples: int, accepted: int) -> float:
        """The weight of an edge's model in the cloud's mean, at least 0.

        If all weights are 0, the cloud keeps its model.

        Args:
            samples: number of samples of all UEs of the edge.
            accepted: number of samples behind the uploads of which the edge accepted something since the cloud's
                last model; a UE counts once for each such upload.
        """
        return samples

    def uploads(self, ues: int, each: int) -> int:
        """Number of uploads of a round if each BS selects `each` UEs, or all its UEs if it has fewer."""
        return self.rounds_each * sum(min(size, each) for size in self.sizes(ues))


@dataclass(frozen=True)
class Flat(Topology):
    """One BS, to which all UEs belong."""

    active = False

    def sizes(self, ues: int) -> Tuple[int, ...]:
        return (ues,)

    def groups(self, labels: Sequence[np.ndarray], seed: int) -> Tuple[Tuple[int, ...], ...]:
        return (tuple(range(len(labels))),)
