"""The laws of topologies. Each takes the labels of each UE's samples."""

import copy
from typing import List, Sequence

import numpy as np

from fl_simu.kernel.errors import UserError
from fl_simu.laws.base import SEED, Inputs, Law, expect, once, same
from fl_simu.topology.base import Topology

Labels = Sequence[np.ndarray]


def it_deals_some_number_of_ues(topology: Topology) -> None:
    """A number up to 100; otherwise no other law could be checked."""
    expect(any(_bears(topology, ues) for ues in range(1, 101)), "it refuses every number of UEs up to 100")


def every_ue_is_of_one_edge(topology: Topology, labels: Labels) -> None:
    """One tuple of whole numbers per edge, ascending, none empty."""
    groups = topology.groups(labels, SEED)
    for edge, ues in enumerate(groups):
        whole = isinstance(ues, tuple) and all(type(ue) is int for ue in ues)
        expect(
            whole and list(ues) == sorted(ues) and len(ues) > 0, f"edge {edge} gets {ues!r}; right are some UEs"
        )
    dealt = sorted(ue for ues in groups for ue in ues)
    same("what all edges get together", dealt, list(range(len(labels))))


def edges_get_as_many_ues_as_it_says(topology: Topology, labels: Labels) -> None:
    found = tuple(map(len, topology.groups(labels, SEED)))
    same("the number of UEs of each edge", found, tuple(topology.sizes(len(labels))))


def with_the_same_seed_it_deals_the_same(topology: Topology, labels: Labels) -> None:
    """The labels are not changed."""
    before = copy.deepcopy(list(labels))
    first = topology.groups(labels, SEED)
    same("what it deals the second time", topology.groups(labels, SEED), first)
    alone = all(np.array_equal(one, was) for one, was in zip(labels, before))
    expect(alone, "the labels have changed; right are the same")


def edges_make_rounds(topology: Topology) -> None:
    each = topology.rounds_each
    expect(
        isinstance(each, int) and each >= 1, f"an edge makes {each!r} rounds; right is a whole number, 1 or more"
    )


def more_bits_take_no_less_time_to_the_cloud(topology: Topology, labels: Labels) -> None:
    """The times there and back are finite, 0 or more; 1 or 2 models cross the backhaul."""
    for edge in range(len(topology.sizes(len(labels)))):
        small, large = (topology.backhaul(edge, load_mbit) for load_mbit in (1.0, 2.0))
        told = f"1 Mbit of edge {edge} take {small}, 2 Mbit {large}"
        expect(
            0 <= small.up_s <= large.up_s < np.inf, f"{told}; right are finite times, 0 or more, that do not fall"
        )
        expect(0 <= small.down_s <= large.down_s < np.inf, f"{told}; right are finite times back that do not fall")
        expect(small.copies in (1, 2), f"{told}; right are 1 or 2 copies")


def a_weight_is_finite_and_not_negative(topology: Topology) -> None:
    for samples, accepted in ((1, 0), (100, 100), (100, 250)):
        weight = topology.weight(samples, accepted)
        told = f"with {samples} samples, {accepted} accepted, an edge counts {weight!r}"
        expect(0 <= weight < np.inf, f"{told}; right is a finite number, 0 or more")


def dealings(topology: Topology) -> Inputs:
    """The smallest, second smallest and largest number of UEs up to 100 that it takes; IID and non-IID data."""
    able = [ues for ues in range(1, 101) if _bears(topology, ues)]
    found = {}
    for ues in sorted({*able[:2], *able[-1:]}):
        alike: List[np.ndarray] = [np.arange(10) for _ in range(ues)]
        unlike = [np.array([7 * ue % 10, 7 * ue % 10, 3]) for ue in range(ues)]
        found[f"{ues} UEs with alike data"] = (alike,)
        found[f"{ues} UEs with a class each"] = (unlike,)
    return found


def _bears(topology: Topology, ues: int) -> bool:
    try:
        topology.check(ues)
    except UserError:
        return False
    return True


LAWS = (
    Law(it_deals_some_number_of_ues, once),
    Law(every_ue_is_of_one_edge, dealings),
    Law(edges_get_as_many_ues_as_it_says, dealings),
    Law(with_the_same_seed_it_deals_the_same, dealings),
    Law(edges_make_rounds, once),
    Law(more_bits_take_no_less_time_to_the_cloud, dealings),
    Law(a_weight_is_finite_and_not_negative, once),
)
