"""Delay rules: the arrival times of an upload, given the rate of its link over time."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, Sequence, Tuple, Type

import numpy as np

from fl_simu.kernel.errors import BadField
from fl_simu.radio.channels.base import Channel


class DelayRule(ABC):
    """How arrival times follow from a channel's rate, which may change during a transmission.

    A delay rule can be combined with any channel.
    """

    @abstractmethod
    def arrivals_s(
        self, channel: Channel, seed: int, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
    ) -> Tuple[float, ...]:
        """Arrival of the last bit of each load, if the loads are sent one after the other from `start_s` on.

        Args:
            channel: the rate over time.
            seed, ue, round, start_s: as for `Channel.pieces`.
            loads_mbit: loads to send, in Mbit, in the order of sending.

        Returns:
            Virtual time in s for each load, `start_s` or later; infinity if the link never carries it.
        """

    @abstractmethod
    def carried_mbit(
        self, channel: Channel, seed: int, ue: int, round: int, start_s: float, end_s: float
    ) -> float:
        """The load that an upload from `start_s` on has put on the air by `end_s` if it has not ended, in Mbit."""

    @abstractmethod
    def check(self, channel: Channel) -> None:
        """Raise BadField unless this rule accepts every rate of the channel."""


@dataclass(frozen=True)
class Integrated(DelayRule):
    r"""The rate is integrated over time, exactly, so a rate that changes during a transmission counts.

    A load of L Mbit that starts at s has arrived at t when :math:`\int_s^t r = L`. If less than a share of 1e-9 is
    left at the end of a tick, which is rounding error, the load has arrived.
    """

    def arrivals_s(
        self, channel: Channel, seed: int, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
    ) -> Tuple[float, ...]:
        return channel.arrivals_s(seed, ue, round, start_s, loads_mbit)

    def carried_mbit(
        self, channel: Channel, seed: int, ue: int, round: int, start_s: float, end_s: float
    ) -> float:
        return channel.carried_mbit(seed, ue, round, start_s, end_s)

    def check(self, channel: Channel) -> None:
        if channel.falls_below_0:
            raise BadField("delay.name", "integrated", "the channel's rate may fall below 0; take rate_at_start")


@dataclass(frozen=True)
class RateAtStart(DelayRule):
    """The notes' delay: size / rate with the rate at the start, whatever comes after.

    At a rate of 0 nothing arrives. A negative rate, which only `notes_walk` has, gives a negative delay, which
    passes every threshold: such an upload arrives the moment it begins. On a `trace` of packets the rate at the
    start is the mean over that second; the last second of a recording may be shorter.

    Reference: notes, graded upload.
    """

    def arrivals_s(
        self, channel: Channel, seed: int, ue: int, round: int, start_s: float, loads_mbit: Sequence[float]
    ) -> Tuple[float, ...]:
        rate_mbps = _first_rate_mbps(channel, seed, ue, round, start_s)
        if rate_mbps == 0:
            return (math.inf,) * len(loads_mbit)
        return tuple(start_s + max(0.0, float(load) / rate_mbps) for load in np.cumsum(loads_mbit))

    def carried_mbit(
        self, channel: Channel, seed: int, ue: int, round: int, start_s: float, end_s: float
    ) -> float:
        return max(0.0, _first_rate_mbps(channel, seed, ue, round, start_s)) * (end_s - start_s)

    def check(self, channel: Channel) -> None:
        """Accept every rate."""


def _first_rate_mbps(channel: Channel, seed: int, ue: int, round: int, start_s: float) -> float:
    return next(channel.pieces(seed, ue, round, start_s))[0]


DELAYS: Dict[str, Type[DelayRule]] = {"integrated": Integrated, "rate_at_start": RateAtStart}
