"""Whom the BS draws."""

from typing import Tuple

from fl_simu.kernel.randomness import permutation, stream


def draw(seed: int, version: int, ues: int, count: int) -> Tuple[Tuple[int, ...], Tuple[int, ...]]:
    """The UEs that a global model is drawn for, and all others, both in the order in which they are drawn.

    Args:
        seed: of the experiment.
        version: number of aggregations behind the global model.
        ues: number of UEs.
        count: how many are drawn.

    Returns:
        Together a permutation of all UEs, each with the same chance: any rule that takes the first few of some set
        of UEs in this order draws them uniformly from that set.
    """
    order = tuple(permutation(stream(seed, "draw", round=version), ues).tolist())
    return order[:count], order[count:]
