"""The contract of an allocator, and equal shares."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, Mapping


class Allocator(ABC):
    """How those who are sending share the band: a frozen dataclass."""

    @abstractmethod
    def shares(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        """The share of the band of each UE that is sending, until somebody begins or ends to send.

        Args:
            loads_mbit: what each of them still has to send, in Mbit.
            rates_mbps: the rate that each would have now with the whole band, in Mbit/s.

        Returns:
            A number for each of them, at least 0 and together at most 1.
        """


@dataclass(frozen=True)
class Equal(Allocator):
    """Everybody who is sending has the same share of the band."""

    def shares(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        return dict.fromkeys(loads_mbit, 1 / len(loads_mbit))
