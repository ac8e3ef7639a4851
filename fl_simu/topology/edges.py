"""UEs, edges and a cloud."""

import math
from dataclasses import dataclass
from typing import List, Sequence, Tuple, Union

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import LARGEST, require_count, require_time
from fl_simu.kernel.randomness import permutation, stream
from fl_simu.topology.base import Backhaul, Topology

DEALS = ("blocks", "random", "alike", "mixed")
WEIGHTS = ("samples", "accepted")

# One number for all edges, or one for each.
ForEdges = Union[float, Tuple[float, ...]]


@dataclass(frozen=True)
class Edges(Topology):
    r"""Edges below a cloud: hierarchical federated averaging (HierFAVG).

    An edge makes `edge_rounds` rounds with its UEs (kappa_2), and in each of them a UE makes its local steps
    (kappa_1). Then the cloud averages the edges:

    .. math:: w = \sum_e n_e w_e / \sum_e n_e

    where n_e is the number of samples of all UEs of edge e. A round of the cloud ends when the model of the last
    edge has arrived:

    .. math:: T = \max_e \left( T_e + d_e + s / r_e \right)

    where T_e is the end of the edge's last round, s the size of a model in bits, and d_e and r_e the delay and the
    rate of the backhaul. With one edge and nothing to wait for, k edge rounds equal k rounds of `flat`, bit for
    bit.

    The edges get equal numbers of UEs, give or take one; the first edges get the larger numbers. With `deal`
    "blocks" the UEs are assigned in numerical order, with "random" in a random order. With "alike" UEs with the
    same most frequent class share an edge, so that the edges differ in their data; with "mixed" such UEs go to
    different edges.

    Under an asynchronous protocol the UEs continue while their edge waits for the cloud. When the cloud's model
    arrives, the edge first hands it out, and then handles the uploads that have arrived.

    Args:
        edges: number of edges, 1 or more; at most the UEs.
        edge_rounds: number of rounds of each edge per round of the cloud, 1 or more.
        deal: how UEs are assigned to edges: "blocks", "random", "alike" or "mixed"
        of_ue: the edge of each UE, from 0 on, instead of `deal`, for example [0, 0, 1]; each edge has at least
            one.
        weights: n_e: the "samples" of all UEs of the edge, or those behind its "accepted" uploads since the last
            model of the cloud. In the second case an edge without accepted uploads has no weight.
        delay_s: d_e in s, 0 or more: one for all edges, or a list of one for each.
        rate_mbps: r_e in Mbit/s, above 0: one for all edges, or a list of one for each.
        both_ways: whether the cloud's model takes as long on the way back to the edges, and its bits count.
            Otherwise it arrives at once, as under `downlink = "free"`.

    Reference: Liu, Zhang, Song, Letaief 2020, "Client-Edge-Cloud Hierarchical Federated Learning".
    """

    edges: int = 2
    edge_rounds: int = 1
    deal: str = "blocks"
    of_ue: Tuple[int, ...] = ()
    weights: str = "samples"
    delay_s: ForEdges = 0.0
    rate_mbps: ForEdges = math.inf
    both_ways: bool = False

    def __post_init__(self) -> None:
        require_count("edges", self.edges)
        require_count("edge_rounds", self.edge_rounds)
        require(self.deal in DEALS, "deal", self.deal, "one of " + ", ".join(DEALS))
        require(self.weights in WEIGHTS, "weights", self.weights, "one of " + ", ".join(WEIGHTS))
        for name, values in (("delay_s", self.delay_s), ("rate_mbps", self.rate_mbps)):
            right = not isinstance(values, tuple) or len(values) == self.edges
            require(right, name, values, f"one number, or a list of one for each of the {self.edges} edges")
        for delay_s in _each(self.delay_s):
            require_time("delay_s", delay_s, or_zero=True)
        for rate_mbps in _each(self.rate_mbps):
            right = rate_mbps >= 1 / LARGEST
            require(right, "rate_mbps", rate_mbps, f"a number above 0, at least {1 / LARGEST:g}, or inf")
        known = set(self.of_ue) == set(range(self.edges))
        require(
            known or not self.of_ue, "of_ue", self.of_ue, f"numbers from 0 to {self.edges - 1}, each at least once"
        )

    @property
    def rounds_each(self) -> int:
        return self.edge_rounds

    def check(self, ues: int) -> None:
        require(self.edges <= ues, "edges", self.edges, f"at most the {ues} ues")
        right = len(self.of_ue) in (0, ues)
        require(right, "of_ue", self.of_ue, f"one edge for each of the {ues} ues, and there are {len(self.of_ue)}")

    def sizes(self, ues: int) -> Tuple[int, ...]:
        if self.of_ue:
            return tuple(np.bincount(self.of_ue, minlength=self.edges).tolist())
        return tuple(ues // self.edges + (edge < ues % self.edges) for edge in range(self.edges))

    def groups(self, labels: Sequence[np.ndarray], seed: int) -> Tuple[Tuple[int, ...], ...]:
        edge_of = np.array(self.of_ue or self._dealt(labels, seed))
        return tuple(tuple(np.flatnonzero(edge_of == edge).tolist()) for edge in range(self.edges))

    def _dealt(self, labels: Sequence[np.ndarray], seed: int) -> List[int]:
        """The edge of each UE."""
        ues = len(labels)
        if self.deal in ("alike", "mixed"):
            order = np.argsort([_most_frequent(own) for own in labels], kind="stable")
        elif self.deal == "random":
            order = permutation(stream(seed, "edges"), ues)
        else:
            order = np.arange(ues)
        edges = np.arange(ues) % self.edges
        edge_of = np.empty(ues, np.int64)
        edge_of[order] = edges if self.deal == "mixed" else np.sort(edges)
        return list(edge_of.tolist())

    def backhaul(self, edge: int, load_mbit: float) -> Backhaul:
        delays_s, rates_mbps = (_each(value) for value in (self.delay_s, self.rate_mbps))
        time_s = delays_s[edge % len(delays_s)] + load_mbit / rates_mbps[edge % len(rates_mbps)]
        return Backhaul(time_s, time_s, 2) if self.both_ways else Backhaul(time_s)

    def weight(self, samples: int, accepted: int) -> float:
        return samples if self.weights == "samples" else accepted


def _each(values: ForEdges) -> Tuple[float, ...]:
    return values if isinstance(values, tuple) else (values,)


def _most_frequent(labels: np.ndarray) -> int:
    """The most frequent class; in a tie the smallest."""
    classes, counts = np.unique(labels, return_counts=True)
    return int(classes[counts.argmax()])
