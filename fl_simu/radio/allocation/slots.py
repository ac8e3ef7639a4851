"""Slot lengths of several UEs that send one after the other, for the least energy."""

import math

import numpy as np


def cheapest_slots(alone_s: np.ndarray, weights: np.ndarray, most: np.ndarray, time_s: float) -> np.ndarray:
    r"""The slot lengths, together `time_s`, for which the total energy is smallest.

    .. math:: \min_\tau \sum_i \tau_i \frac{N_0}{h_i} (e^{x_i} - 1), \quad
        x_i = \frac{S_i}{\tau_i B} \le x_i^{max}, \quad \sum_i \tau_i \le T

    with S in nats. A longer slot is always cheaper, so all of T is used. A slightly longer slot saves

    .. math:: -\frac{\partial E_i}{\partial \tau_i} = \frac{N_0}{h_i} \left((x_i - 1) e^{x_i} + 1\right) = \lambda

    for all UEs that can send below full power; lambda is found by bisection. If the time is too short even at full
    power, each UE gets the slot that it needs at full power.

    Args:
        alone_s: S / B of each UE, its sending time at 1 nat/s/Hz, above 0, shape (n,).
        weights: N_0 / h of each UE in any unit, above 0, shape (n,).
        most: the highest x, ln(1 + P h / N_0) at full power P, above 0, shape (n,).
        time_s: T.

    Reference: Tran, Bao, Zomaya, Nguyen, Hong 2019, "Federated Learning over Wireless Networks: Optimization Model
    Design and Analysis".

    >>> cheapest_slots(np.array([1.0, 1.0]), np.array([1.0, 1.0]), np.array([5.0, 5.0]), 3.0).round(9).tolist()
    [1.5, 1.5]
    """
    shortest = alone_s / most
    if shortest.sum() >= time_s:
        return shortest

    def slots(log_saved: float) -> np.ndarray:
        return alone_s / np.minimum(_nats(np.exp(log_saved - np.log(weights))), most)

    # Bounds: if all UEs send with the same x that fills the time, some save more and others less than lambda; at
    # the upper end all send at full power.
    even = np.minimum(alone_s.sum() / time_s, most)
    low = float((np.log(weights) + np.log(_saved(even))).min())
    high = float((np.log(weights) + np.log(_saved(most))).max())
    middle = (low + high) / 2
    while low < middle < high:
        low, high = (middle, high) if slots(middle).sum() > time_s else (low, middle)
        middle = (low + high) / 2
    return slots(high)


def _saved(nats: np.ndarray) -> np.ndarray:
    """(x - 1) e^x + 1, above 0."""
    series = nats**2 * (1 / 2 + nats * (1 / 3 + nats * (1 / 8 + nats / 30)))
    # Near 0 the difference of the two terms would lose digits.
    return np.where(nats < 1e-2, series, nats * np.exp(nats) - np.expm1(nats))


def _nats(saved: np.ndarray) -> np.ndarray:
    """The inverse of `_saved`, by Newton's method from above, which never overshoots on a convex curve."""
    found = np.minimum(np.sqrt(2 * saved), 1 + np.log1p(saved))
    for _ in range(100):
        step = (_saved(found) - saved) / (found * np.exp(found))
        found = found - step
        if (np.abs(step) <= 1e-15 * found).all():
            break
    return found


def slot_energy(alone_s: float, weight: float, slot_s: float) -> float:
    r"""The energy of one upload, :math:`\tau (N_0 / h) (e^{S / (\tau B)} - 1)`; in J if the weight is in W.

    >>> round(slot_energy(alone_s=2.0, weight=0.5, slot_s=4.0), 6)
    1.297443
    """
    return slot_s * weight * math.expm1(alone_s / slot_s)
