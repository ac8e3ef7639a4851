"""A link whose rate never changes."""

import math
from dataclasses import dataclass
from typing import Iterator

from fl_simu.radio.channels.base import LEAST_MBPS, Channel, Piece, require_rate


@dataclass(frozen=True)
class Constant(Channel):
    """The same rate for every UE, always.

    Args:
        rate_mbps: rate in Mbit/s, 1e-6 to 1e6.
    """

    rate_mbps: float = 50.0

    def __post_init__(self) -> None:
        require_rate("rate_mbps", self.rate_mbps, LEAST_MBPS)

    def pieces(self, seed: int, ue: int, round: int, start_s: float) -> Iterator[Piece]:
        yield self.rate_mbps, math.inf
