"""The contract of an allocator, and equal shares."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, Mapping, NamedTuple, Tuple

from fl_simu.radio.allocation.spectrum import Linear, Spectrum

LINEAR = Linear()


class Sending(NamedTuple):
    """What an allocator knows of a sending UE.

    Args:
        left_mbit: remaining load of each layer that has not arrived, in Mbit, in the order of sending.
        arrived: number of its layers that have arrived; while it is 0, the first of `left_mbit` is the base.
        rate_mbps: its current rate with the complete band, in Mbit/s.
        sending_s: time since it began to send [s].
    """

    left_mbit: Tuple[float, ...]
    arrived: int
    rate_mbps: float
    sending_s: float = 0.0


class Allocator(ABC):
    """How the sending UEs share the band.

    An allocator is a frozen dataclass.
    """

    @abstractmethod
    def shares(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        """The share of the band of each sending UE, until a UE starts or stops sending.

        Args:
            loads_mbit: remaining load of each of them, in Mbit, in the order in which they began to send.
            rates_mbps: current rate of each with the complete band, in Mbit/s.

        Returns:
            A number for each of them, at least 0 and together at most 1.
        """

    def divide(self, senders: Mapping[int, Sending], spectrum: Spectrum = LINEAR) -> Dict[int, float]:
        """The shares of an allocator that uses more than loads and rates. A medium calls this method.

        Args:
            senders: the sending UEs, in the order in which they began.
            spectrum: the rate for a share of the band.

        Returns:
            As for `shares`, which it calls by default.
        """
        loads = {ue: sum(one.left_mbit) for ue, one in senders.items()}
        return self.shares(loads, {ue: one.rate_mbps for ue, one in senders.items()})


@dataclass(frozen=True)
class Equal(Allocator):
    """All sending UEs have the same share of the band."""

    def shares(self, loads_mbit: Mapping[int, float], rates_mbps: Mapping[int, float]) -> Dict[int, float]:
        return dict.fromkeys(loads_mbit, 1 / len(loads_mbit))

    def divide(self, senders: Mapping[int, Sending], spectrum: Spectrum = LINEAR) -> Dict[int, float]:
        return dict.fromkeys(senders, 1 / len(senders))
