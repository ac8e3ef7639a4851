"""A link whose rate is drawn again for every upload, uniformly."""

import math
from dataclasses import dataclass
from typing import Iterator

from fl_simu.kernel.errors import require
from fl_simu.kernel.randomness import briefly
from fl_simu.radio.channels.base import LEAST_MBPS, Channel, Piece, require_rate


@dataclass(frozen=True)
class Uniform(Channel):
    """Rates drawn uniformly from an interval, once per UE and round, constant for the complete upload.

    Args:
        low_mbps: lowest rate in Mbit/s, 0 to 1e6.
        high_mbps: highest rate in Mbit/s, 1e-6 to 1e6, `low_mbps` or more.
    """

    low_mbps: float = 10.0
    high_mbps: float = 90.0

    def __post_init__(self) -> None:
        require_rate("low_mbps", self.low_mbps)
        require_rate("high_mbps", self.high_mbps, LEAST_MBPS)
        require(self.low_mbps <= self.high_mbps, "high_mbps", self.high_mbps, "at least low_mbps")

    def pieces(self, seed: int, ue: int, round: int, start_s: float) -> Iterator[Piece]:
        draw = briefly(seed, "channel", ue, round).random()
        yield self.low_mbps + (self.high_mbps - self.low_mbps) * draw, math.inf
