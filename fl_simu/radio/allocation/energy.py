"""Shares that cost the least energy."""

from dataclasses import dataclass
from typing import Dict, Mapping

from fl_simu.kernel.limits import require_time
from fl_simu.radio.allocation.base import LINEAR, Allocator, Sending
from fl_simu.radio.allocation.spectrum import Spectrum


@dataclass(frozen=True)
class MinEnergy(Allocator):
    r"""Those who are sending spend as little energy together as can be, and each ends within a time.

    .. math:: \min_s \sum_i P\,t_i, \quad t_i = L_i / r_i(s_i) \le T - a_i, \quad \sum_i s_i \le 1

    L is the load of all layers that have not arrived, a how long a UE has been sending, and every UE sends with
    the same power P, whatever its share. The shares are those that would cost the least if they and the rates
    stayed: on `planned_band` they stay. On a band with :math:`r_i(s) = s\,r_i` they are

    .. math:: s_i = \max\left(\frac{L_i / r_i}{T - a_i},\; c \sqrt{L_i / r_i}\right)

    with the c that uses the whole band. Where a narrower share has less noise, as on `shannon_band`, the energy
    saved by a little more band is the same for all who need not have more because of the time.

    Where the time is too short, or over, for all of them together, the shares are those of `min_max_delay`. Who is
    in outage at that moment waits, and its time does not count. A band that is divided anew whenever somebody ends
    costs less under `tdma` where the rate is linear: then nobody who is on the air has less than the whole band.

    Args:
        deadline_s: T, the time in s in which an upload should end, from its start, above 0.

    Reference: Z. Yang, Chen, Saad, Hong, Shikh-Bahaei 2021, "Energy Efficient Federated Learning Over Wireless
    Communication Networks", with transmit powers that are given.
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
