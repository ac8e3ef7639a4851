"""The energy that UEs spend."""

from dataclasses import dataclass
from typing import Mapping

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_factor
from fl_simu.meters.base import Meter, UploadView
from fl_simu.results.columns import Column


@dataclass(frozen=True)
class Energy(Meter):
    r"""The energy that UEs spend on training and on sending.

    .. math:: E = \kappa C D E_p f^2 + (P / \eta + P_c) t

    with C cycles a sample, D samples, E_p epochs, the processor's frequency f, the transmit power P of an
    amplifier with efficiency eta, the circuit's power P_c, and the time t on the air. A UE
    that waits for its turn on a shared medium is not on the air; one whose channel is in outage is. Uploads that
    are given up cost what they sent until then, and the training in full; a UE that drops out spends nothing.
    Wasted is what UEs spend, training and sending, on an upload of which the BS takes nothing: also the training
    of those who then do not send.

    C and f are those of the compute rule where that has processors, as `cycles`, so that time and energy are of
    one processor; else the ones given here. P is that of the channel where it controls the power, as `cell` may,
    or of the medium where that has powers of its own, as `resource_blocks`.

    Args:
        kappa: :math:`\kappa`, the whole coefficient, in J s^2 a cycle^3. Papers use 1e-27, 1e-28, or alpha / 2
            with alpha = 2e-28.
        cycles_per_sample: C, where the compute rule has no processors.
        frequency_hz: f in Hz, where the compute rule has no processors.
        power_w: P, above 0, where neither channel nor medium tells of one.
        efficiency: eta, above 0, at most 1.
        circuit_w: P_c, at least 0.

    Reference: Liu, Zhang, Song, Letaief 2020, "Client-Edge-Cloud Hierarchical Federated Learning"; Tran, Bao,
    Zomaya, Nguyen, Hong 2019, "Federated Learning over Wireless Networks: Optimization Model Design and Analysis".
    """

    kappa: float = 1e-28
    cycles_per_sample: float = 2e4
    frequency_hz: float = 1e9
    power_w: float = 0.5
    efficiency: float = 1.0
    circuit_w: float = 0.0

    def __post_init__(self) -> None:
        require(0 <= self.kappa <= 1, "kappa", self.kappa, "0 to 1")
        require_factor("cycles_per_sample", self.cycles_per_sample, or_zero=True)
        require_factor("frequency_hz", self.frequency_hz)
        require_factor("power_w", self.power_w)
        require(0 < self.efficiency <= 1, "efficiency", self.efficiency, "above 0, at most 1")
        require_factor("circuit_w", self.circuit_w, or_zero=True)

    @property
    def columns(self) -> Mapping[str, Column]:
        return {
            "energy_j": Column("J", "energy of the UEs", axis=True),
            "compute_energy_j": Column("J", "energy of training"),
            "transmit_energy_j": Column("J", "energy of sending"),
            "wasted_energy_j": Column("J", "energy for uploads of which nothing was taken"),
        }

    def upload(self, view: UploadView) -> Mapping[str, float]:
        per_sample, frequency_hz = view.processor or (self.cycles_per_sample, self.frequency_hz)
        cycles = per_sample * view.samples * view.epochs if view.works else 0.0
        compute_j = self.kappa * cycles * frequency_hz**2
        power_w = self.power_w if view.transmit_w is None else view.transmit_w
        transmit_j = (power_w / self.efficiency + self.circuit_w) * view.airtime_s
        spent_j = compute_j + transmit_j
        return {
            "energy_j": spent_j,
            "compute_energy_j": compute_j,
            "transmit_energy_j": transmit_j,
            "wasted_energy_j": spent_j if view.accepted == "none" else 0.0,
        }
