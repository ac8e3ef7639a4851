"""One band for all sending UEs, in which a narrower share has less noise."""

from dataclasses import dataclass, replace
from typing import Iterator

from fl_simu.kernel.errors import require
from fl_simu.radio.allocation.spectrum import Shannon, Spectrum
from fl_simu.radio.channels.base import Channel, Piece
from fl_simu.radio.channels.fading import RANGES
from fl_simu.radio.link import Link
from fl_simu.radio.media.shared_band import FollowedBand


@dataclass(frozen=True)
class Narrowed(Channel):
    """The channel of a UE with a share of the band."""

    channel: Channel
    spectrum: Spectrum
    share: float

    def pieces(self, seed: int, ue: int, round: int, start_s: float) -> Iterator[Piece]:
        for rate_mbps, until_s in self.channel.pieces(seed, ue, round, start_s):
            yield self.spectrum.rate_mbps(rate_mbps, self.share), until_s


@dataclass(frozen=True)
class ShannonBand(FollowedBand):
    r"""As `shared_band`, but a UE puts all of its power into its share: the narrower, the less noise.

    .. math:: r(s) = s B \log_2(1 + \gamma / s), \quad \gamma = 2^{r / B} - 1

    The channel gives the rate r of a UE with the complete band; with `fading` that requires `shares = 1` and the
    same `bandwidth_mhz`. With a share s the rate exceeds s r, so sending in parallel is better than sending in
    turn. A gap to Shannon's rate is included in :math:`\gamma`. If the channel is in outage in the complete band,
    it is in outage in any share.

    Args:
        bandwidth_mhz: bandwidth B of the complete band in MHz, 1e-6 to 1e6; no rate may be above 100 bit/s/Hz.

    Reference: Cover, Thomas, Elements of Information Theory, section 15.3 (frequency division).
    """

    bandwidth_mhz: float = 20.0

    def __post_init__(self) -> None:
        require_bandwidth(self.bandwidth_mhz)

    def check(self, link: Link) -> None:
        link.require_integrated("medium.name", "shannon_band")

    def spectrum(self) -> Spectrum:
        return Shannon(self.bandwidth_mhz)

    def link_of(self, link: Link, ue: int, share: float) -> Link:
        return link if share == 1 else replace(link, channel=Narrowed(link.channel, self.spectrum(), share))


def require_bandwidth(bandwidth_mhz: float) -> None:
    """Raise BadField unless this is a valid bandwidth of a band."""
    low, high = RANGES["bandwidth_mhz"]
    require(low <= bandwidth_mhz <= high, "bandwidth_mhz", bandwidth_mhz, f"{low:g} to {high:g}")
