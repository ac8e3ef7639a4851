"""Closed forms for channels and losses, without draws: rates, outages, capacities."""

import math
from typing import Callable, Dict, Optional, Sequence, Type

import numpy as np

from fl_simu.radio.channels.base import Channel
from fl_simu.radio.channels.constant import Constant
from fl_simu.radio.channels.fading import Fading, site
from fl_simu.radio.channels.normal import Normal
from fl_simu.radio.channels.uniform import Uniform
from fl_simu.radio.losses import Fixed, Loss, NoLoss, Tried

# The probability that a rate is at least a number of Mbit/s.
Survival = Callable[[float], float]


def _constant(channel: Constant) -> Survival:
    return lambda rate_mbps: float(rate_mbps <= channel.rate_mbps)


def _uniform(channel: Uniform) -> Survival:
    width = channel.high_mbps - channel.low_mbps

    def survival(rate_mbps: float) -> float:
        if width == 0:
            return float(rate_mbps <= channel.low_mbps)
        return min(1.0, max(0.0, (channel.high_mbps - rate_mbps) / width))

    return survival


def _folded_normal(channel: Normal) -> Survival:
    mean, std = channel.mean_mbps, channel.std_mbps

    def survival(rate_mbps: float) -> float:
        if rate_mbps <= 0 or std == 0:
            return float(rate_mbps <= mean)
        return _above((rate_mbps - mean) / std) + _above((rate_mbps + mean) / std)

    return survival


def _above(deviations: float) -> float:
    """The probability that a standard normal number is larger."""
    return math.erfc(deviations / math.sqrt(2)) / 2


# Channels that draw one rate per upload and keep it until its end.
RATE_LAWS: Dict[Type[Channel], Callable] = {
    Constant: _constant,
    Uniform: _uniform,
    Normal: _folded_normal,
}


def rate_survival(channel: Channel) -> Optional[Survival]:
    r"""The probability P(R >= r) over r in Mbit/s, for a channel with a constant rate during each upload.

    An upload of L Mbit then passes a threshold of t s with probability :math:`P(R \ge L / t)`.

    Returns:
        The function, or None for a channel whose rate changes during an upload, where this does not hold.

    >>> round(rate_survival(Uniform(10.0, 90.0))(50.0), 6)
    0.5
    """
    law = RATE_LAWS.get(type(channel))
    return None if law is None else law(channel)


def rate_passed(survival: Survival, pass_rate: float) -> float:
    """The largest rate in Mbit/s that is reached with probability `pass_rate` or more, above 0 and below 1.

    >>> round(rate_passed(rate_survival(Uniform(10.0, 90.0)), 0.75), 6)
    30.0
    """
    low, high = 0.0, 1.0
    while survival(high) >= pass_rate:
        low, high = high, 2 * high
    middle = (low + high) / 2
    while low < middle < high:
        low, high = (middle, high) if survival(middle) >= pass_rate else (low, middle)
        middle = (low + high) / 2
    return low


def rayleigh_outage(channel: Channel, seed: int, ues: Sequence[int]) -> Optional[float]:
    r"""The share of fading blocks in outage, averaged over UEs at given positions.

    .. math:: P(snr < min) = \frac{1}{|ues|} \sum_{u} 1 - e^{-min / \overline{snr}_u}

    Returns:
        The share, or None if the channel is not `fading` with Rayleigh fading.

    Reference: Goldsmith, Wireless Communications, section 6.3.2.
    """
    if type(channel) is not Fading or channel.rician_k_db > -math.inf:
        return None
    below_db = np.array([channel.min_snr_db - site(channel, seed, ue).mean_snr_db for ue in ues])
    return float(np.mean(-np.expm1(-(10 ** (below_db / 10)))))


def mean_s_a_mbit(channel: Channel) -> Optional[float]:
    r"""Mean time per Mbit, :math:`E[1 / R]`, for a channel with a constant rate during each upload.

    It is infinite if the density of the rate is above 0 near 0, as for a folded normal distribution.

    Returns:
        The time in s, or None for any other channel.

    >>> round(mean_s_a_mbit(Uniform(1.0, 2.0)), 6)
    0.693147
    """
    if isinstance(channel, Constant):
        return 1 / channel.rate_mbps if channel.rate_mbps else math.inf
    if isinstance(channel, Uniform):
        low, high = channel.low_mbps, channel.high_mbps
        if not low:
            return math.inf
        return 1 / low if low == high else math.log(high / low) / (high - low)
    if isinstance(channel, Normal):
        return 1 / channel.mean_mbps if not channel.std_mbps and channel.mean_mbps else math.inf
    return None


def block_arrives(loss: Loss, size_bits: int) -> Optional[float]:
    """The probability that a layer of a number of bits arrives, retransmissions included; None if it is unknown.

    >>> round(block_arrives(Fixed(error_rate=0.1, packet_bytes=125), 2500), 6)
    0.729
    """
    if isinstance(loss, NoLoss):
        return 1.0
    if isinstance(loss, Fixed):
        return (1 - loss.lost_after(loss.tries)) ** loss.packets(size_bits)
    return 1 - loss.lost_after(loss.tries) if isinstance(loss, Tried) else None


def mean_tries(loss: Loss) -> Optional[float]:
    """Mean number of transmissions; None if it is unknown."""
    if isinstance(loss, NoLoss):
        return 1.0
    return loss.mean_tries() if isinstance(loss, Tried) else None


def mac_bits(uses: int, ues: int, energy_ratio: float) -> float:
    r"""The bits that each of M UEs can send in s uses of a real Gaussian channel on which all send at the same
    time.

    .. math:: R = \frac{s}{2 M} \log_2\left(1 + \frac{M P}{s \sigma^2}\right)

    Digital uploads can carry this much in the band of an over-the-air sum (D-DSGD): a band of B Hz has 2 B uses
    per second, so each UE has B / M log2(1 + M snr) bit/s, where snr is P / (s sigma^2). That is the rate of a UE
    on medium `shannon_band` with allocator `equal`.

    Args:
        uses: s, above 0; a complex symbol counts as two.
        ues: M, above 0.
        energy_ratio: P / sigma^2, the energy that the BS receives from a UE in all uses over the noise in one use.

    Reference: Amiri, Gunduz 2020, "Machine Learning at the Wireless Edge: Distributed Stochastic Gradient Descent
    Over-the-Air".

    >>> mac_bits(uses=100, ues=5, energy_ratio=60.0)
    20.0
    """
    return uses / (2 * ues) * math.log2(1 + ues * energy_ratio / uses)
