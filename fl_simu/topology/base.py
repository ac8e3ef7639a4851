"""The contract of a topology, and the one with a single BS."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from fl_simu.results.columns import Column

COLUMNS = {"backhaul_bits": Column("bit", "sent over the backhaul", axis=True)}


class Backhaul(NamedTuple):
    """What it takes to carry a model between an edge and the cloud.

    Args:
        up_s: how long it takes from the edge to the cloud [s].
        down_s: how long it takes back [s].
        copies: how many models cross the backhaul for that, of which the bits count: 1 where the way back is
            free, else 2.
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
        A frozen dataclass. What it draws comes from `kernel.randomness`, keyed by the seed that it is given.

    Class attributes:
        active: whether there are edges and a cloud.
    """

    active: ClassVar[bool] = True

    @property
    def columns(self) -> Mapping[str, Column]:
        """Name -> column, of each round."""
        return COLUMNS if self.active else {}

    @property
    def rounds_each(self) -> int:
        """How many edge rounds each edge makes in a round."""
        return 1

    def check(self, ues: int) -> None:  # noqa: B027
        """Raise BadField unless so many UEs can be dealt to the edges."""

    @abstractmethod
    def sizes(self, ues: int) -> Tuple[int, ...]:
        """How many of so many UEs each edge gets, at least 1; known before any data are read."""

    @abstractmethod
    def groups(self, labels: Sequence[np.ndarray], seed: int) -> Tuple[Tuple[int, ...], ...]:
        """The UEs of each edge, ascending; each UE at one edge.

        Args:
            labels: class of each training sample of each UE, int64; not changed.
            seed: of the experiment, for keyed draws.
        """

    def backhaul(self, edge: int, load_mbit: float) -> Backhaul:
        """What it takes to carry a model of so many Mbit between edge number `edge` and the cloud."""
        return Backhaul()

    def weight(self, samples: int, accepted: int) -> float:
        """What an edge's model counts in the cloud's mean, at least 0.

        Where all of them count 0, the cloud keeps its model.

        Args:
            samples: of all UEs of the edge.
            accepted: of the uploads of which the edge took something since the cloud's last model, each time.
        """
        return samples

    def uploads(self, ues: int, each: int) -> int:
        """How many uploads a round has where a BS draws so many UEs, or all that it has if those are fewer."""
        return self.rounds_each * sum(min(size, each) for size in self.sizes(ues))


@dataclass(frozen=True)
class Flat(Topology):
    """One BS, to which all UEs belong."""

    active = False

    def sizes(self, ues: int) -> Tuple[int, ...]:
        return (ues,)

    def groups(self, labels: Sequence[np.ndarray], seed: int) -> Tuple[Tuple[int, ...], ...]:
        return (tuple(range(len(labels))),)
