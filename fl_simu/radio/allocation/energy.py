"""Shares that need the least energy."""

from dataclasses import dataclass
from typing import Dict, Mapping

from fl_simu.kernel.limits import require_time
from fl_simu.radio.allocation.base import LINEAR, Allocator, Sending
from fl_simu.radio.allocation.spectrum import Spectrum


@dataclass(frozen=True)
class MinEnergy(Allocator):
    r"""The sending UEs spend as little energy together as possible, and each ends within a time.

    .. math:: \min_s \sum_i P\,t_i, \quad t_i = L_i / r_i(s_i) \le T - a_i, \quad \sum_i s_i \le 1

    L is the load of all layers that have not arrived, a the time for which a UE has been sending. Every UE sends
    with the same power P, whatever its share. The shares are those that would cost the least if they and the rates
    stayed; on `planned_band` the shares do stay. On a band with :math:`r_i(s) = s\,r_i` they are

    .. math:: s_i = \max\left(\frac{L_i / r_i}{T - a_i},\; c \sqrt{L_i / r_i}\right)

    where c is such that the complete band is used. Where a narrower share has less noise, as on `shannon_band`, a
    little more band saves the same energy for every UE that does not need more because of the time.

    If the time is too short for all UEs together, or over, the shares are those of `min_max_delay`. A UE in outage
    at that moment waits, and its time does not count. If the rate is linear and the band is divided again whenever
    an upload ends, `tdma` costs less: no UE on the air then has less than the complete band.

    Args:
        deadline_s: T, the time in s within which an upload should end, from its start, above 0.

    Reference: Z. Yang, Chen, Saad, Hong, Shikh-Bahaei 2021, "Energy Efficient Federated Learning Over Wireless
    Communication Networks", with given transmit powers.
    """

    deadline_s: float = 10.0

    def __post_init__(self) -> None:
        require_time("deadline_s", self.deadline_s)

    def shares(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        return self.divide({ue: Sending((load,), 0, rates_mbps[ue]) for ue, load in loads_mbit.items()})

    def divide(self, senders: Mapping[int, Sending], spectrum: Spectrum = LINEAR) -> Dict[int, float]:
        loads = {ue: sum(one.left_mbit) for ue, one in senders.items()}
        rates = {ue: one.rate_mbps for ue, one in senders.items()}
        times = {ue: self.deadline_s - one.sending_s for ue, one in senders.items()}
        return spectrum.cheapest(loads, rates, times) or spectrum.together(loads, rates)
