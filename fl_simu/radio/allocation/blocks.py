"""Assignment of resource blocks to UEs."""

from typing import Optional, Tuple

import numpy as np

# The block number of each UE; None if it has no block and does not send.
Assignment = Tuple[Optional[int], ...]


def hungarian(weights: np.ndarray, errors: np.ndarray, allowed: np.ndarray) -> Assignment:
    r"""At most one block per UE and one UE per block, with the smallest expected loss.

    .. math:: \min \sum_{i\ sends} K_i\,q_{i, n(i)} + \sum_{i\ silent} K_i

    Args:
        weights: K of each UE, at least 0, shape (UEs,).
        errors: q, the probability that a UE's upload on a block is lost, shape (UEs, blocks).
        allowed: whether a UE may send on a block, same shape.

    Reference: Chen, Yang, Saad, Yin, Poor, Cui 2021, "A Joint Learning and Communications Framework for Federated
    Learning over Wireless Networks", section IV; Kuhn 1955, "The Hungarian Method for the Assignment Problem".

    >>> hungarian(np.array([10.0, 1.0]), np.array([[0.1, 0.2], [0.1, 0.9]]), np.full((2, 2), True))
    (0, 1)
    """
    from scipy.optimize import linear_sum_assignment

    ues, blocks = errors.shape
    # A forbidden block costs as much as no block, and there are enough dummy columns for all UEs.
    costs = np.repeat(weights[:, None].astype(np.float64), max(ues, blocks), axis=1)
    costs[:, :blocks] = np.where(allowed, weights[:, None] * errors, weights[:, None])
    return _kept(linear_sum_assignment(costs)[1], allowed)


def in_order(order: np.ndarray, allowed: np.ndarray) -> Assignment:
    """The i-th UE has the i-th block of an order, if there is one and it may send on it.

    Args:
        order: numbers of all blocks, each once, shape (blocks,).
        allowed: as for `hungarian`.

    >>> in_order(np.array([1, 0]), np.array([[True, False], [True, True], [True, True]]))
    (None, 0, None)
    """
    ues, blocks = allowed.shape
    return _kept(np.append(order, np.full(ues, blocks))[:ues], allowed)


def expected_loss(weights: np.ndarray, errors: np.ndarray, blocks: Assignment) -> float:
    """The quantity that `hungarian` minimises."""
    told = [errors[ue, block] if block is not None else 1.0 for ue, block in enumerate(blocks)]
    return float(np.dot(weights, told))


def _kept(columns: np.ndarray, allowed: np.ndarray) -> Assignment:
    blocks = allowed.shape[1]
    told = enumerate(columns.tolist())
    return tuple(block if block < blocks and allowed[ue, block] else None for ue, block in told)
