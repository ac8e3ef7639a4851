"""A link whose rate is drawn again for every upload."""

import math
from dataclasses import dataclass
from typing import Iterator

from fl_simu.kernel.errors import require
from fl_simu.kernel.randomness import briefly
from fl_simu.radio.channels.base import LEAST_MBPS, Channel, Piece, require_rate


@dataclass(frozen=True)
class Normal(Channel):
    """Rates distributed as |N(mean, std)|, drawn once per UE and round, constant for the complete upload.

    Args:
        mean_mbps: mean of the normal distribution in Mbit/s, 0 to 1e6.
        std_mbps: its standard deviation in Mbit/s, 0 to 1e6; mean and standard deviation together 1e-6 or more.
            With the notes' 50 and 16.67, three standard deviations span 0 to 100 Mbit/s.

    Reference: notes, graded upload.
    """

    mean_mbps: float = 50.0
    std_mbps: float = 16.67

    def __post_init__(self) -> None:
        require_rate("mean_mbps", self.mean_mbps)
        require_rate("std_mbps", self.std_mbps)
        enough = self.mean_mbps + self.std_mbps >= LEAST_MBPS
        require(enough, "std_mbps", self.std_mbps, f"{LEAST_MBPS:g} or more with mean_mbps")

    def pieces(self, seed: int, ue: int, round: int, start_s: float) -> Iterator[Piece]:
        draw = briefly(seed, "channel", ue, round).standard_normal()
        yield abs(self.mean_mbps + self.std_mbps * draw), math.inf
