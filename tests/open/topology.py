"""A topology: edges and UEs in a square, each UE at the nearest edge that has room."""

from dataclasses import dataclass

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.randomness import stream
from fl_simu.topology.base import Backhaul, Topology


@dataclass(frozen=True)
class Nearest(Topology):
    """Equally many UEs for each edge; the time to the cloud is proportional to the edge's number.

    Args:
        edges: number of edges.
        per_edge_s: time from edge number 1 to the cloud in s.
    """

    edges: int = 2
    per_edge_s: float = 0.1

    def check(self, ues):
        require(ues >= self.edges, "edges", self.edges, f"at most the {ues} ues")

    def sizes(self, ues):
        return tuple(len(part) for part in np.array_split(np.arange(ues), self.edges))

    def groups(self, labels, seed):
        ues, places = len(labels), stream(seed, "places").random((self.edges + len(labels), 2))
        left, groups = list(range(ues)), []
        for edge, size in enumerate(self.sizes(ues)):
            left.sort(key=lambda ue: np.hypot(*(places[self.edges + ue] - places[edge])))
            groups.append(tuple(sorted(left[:size])))
            left = left[size:]
        return tuple(groups)

    def backhaul(self, edge, load_mbit):
        return Backhaul(edge * self.per_edge_s)
