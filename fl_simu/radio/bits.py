"""Adaptive bits: the bits per parameter of a UE's next upload. One class per rule, one registry row below."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Callable, ClassVar, Dict, NamedTuple, Tuple, Type

from fl_simu.kernel.errors import require
from fl_simu.parts import KINDS
from fl_simu.radio.codecs.base import Codec
from fl_simu.radio.codecs.layered import MAX_BITS, Layered

KNOWLEDGE = ("last", "mean", "oracle")


@dataclass(frozen=True)
class Memory:
    """The memory of a UE of its own uploads.

    Args:
        last_mbps: mean rate of its last upload in Mbit/s; 0 before the first.
        mean_mbps: mean of these rates over its uploads.
        uploads: number of uploads in this mean.
        spread: largest minus smallest element of its last update; 0 before the first.
    """

    last_mbps: float = 0.0
    mean_mbps: float = 0.0
    uploads: int = 0
    spread: float = 0.0

    def after(self, rate_mbps: float) -> "Memory":
        """The memory after one more upload."""
        uploads = self.uploads + 1
        mean_mbps = self.mean_mbps + (rate_mbps - self.mean_mbps) / uploads
        return Memory(rate_mbps, mean_mbps, uploads, self.spread)


class Outlook(NamedTuple):
    """What a rule may use for its choice.

    Args:
        memory: the memory of the UE.
        losses: loss of the global model after the first and after the last round; empty before.
        load_mbit: function from bits per parameter to the load of an upload on the air, in Mbit.
        delay_s: function from bits per parameter to the true delay in s, which only an oracle knows.
    """

    memory: Memory
    losses: Tuple[float, ...]
    load_mbit: Callable[[int], float]
    delay_s: Callable[[int], float]


class BitRule(ABC):
    """How many bits per parameter a UE spends on its next upload.

    The UE chooses when it begins to send, for the codecs `affine`, `decimal` and `stochastic`. The chosen bits are
    sent in one layer.

    Class attributes:
        remembers: whether it uses the memory of a UE, which is then kept.
    """

    remembers: ClassVar[bool] = True

    @property
    def foresees(self) -> bool:
        """Whether it uses the true delay of the upload."""
        return False

    @abstractmethod
    def choose(self, outlook: Outlook) -> int:
        """Bits per parameter of the next upload, sent in one layer; 0 for the codec as configured."""

    def check(self, codec: Codec) -> None:
        """Raise BadField unless the codec allows other numbers of bits."""
        name, ours = KINDS["codec"].name_of(codec, nameless=True), KINDS["bits"].name_of(self, nameless=True)
        allowed = f"codec {name} has no bits to choose; take affine"
        require(isinstance(codec, Layered), "bits.name", ours, allowed)


@dataclass(frozen=True)
class FixedBits(BitRule):
    """The codec as configured, with all its layers."""

    remembers = False

    def choose(self, outlook: Outlook) -> int:
        return 0

    def check(self, codec: Codec) -> None:
        """Accept every codec."""


def _require_bits(least: int, most: int) -> None:
    require(1 <= least <= MAX_BITS, "least_bits", least, f"1 to {MAX_BITS}")
    require(least <= most <= MAX_BITS, "most_bits", most, f"least_bits to {MAX_BITS}")


def _enough_bits(steps: float, least: int, most: int) -> int:
    """The number of bits for a number of steps between levels, within bounds."""
    # Just below a whole number of bits counts as that number, since sqrt and log2 round.
    return min(max(math.ceil(math.log2(1 + min(steps, 2.0**MAX_BITS)) - 1e-9), least), most)


@dataclass(frozen=True)
class ChannelAdaptive(BitRule):
    """The most bits whose predicted delay meets a deadline, or the fewest if none does.

    Args:
        deadline_s: deadline for the delay of an upload in s, above 0.
        knows: basis of the prediction: the rate of the UE's "last" upload, the "mean" rate of its uploads, or an
            "oracle", which knows the delay. Except with the oracle, a UE uses the fewest bits for its first
            upload.
        least_bits: lower bound, 1 to 16.
        most_bits: upper bound, `least_bits` to 16.
    """

    deadline_s: float = 2.0
    knows: str = "last"
    least_bits: int = 1
    most_bits: int = 8

    def __post_init__(self) -> None:
        require(0 < self.deadline_s < math.inf, "deadline_s", self.deadline_s, "a finite number above 0")
        require(self.knows in KNOWLEDGE, "knows", self.knows, "one of " + ", ".join(KNOWLEDGE))
        _require_bits(self.least_bits, self.most_bits)

    @property
    def foresees(self) -> bool:
        return self.knows == "oracle"

    def choose(self, outlook: Outlook) -> int:
        for bits in range(self.most_bits, self.least_bits, -1):
            if self._delay_s(outlook, bits) <= self.deadline_s:
                return bits
        return self.least_bits

    def _delay_s(self, outlook: Outlook, bits: int) -> float:
        if self.knows == "oracle":
            return outlook.delay_s(bits)
        memory = outlook.memory
        rate_mbps = memory.last_mbps if self.knows == "last" else memory.mean_mbps
        return outlook.load_mbit(bits) / rate_mbps if rate_mbps > 0 else math.inf


@dataclass(frozen=True)
class LossAdaptive(BitRule):
    """AdaQuantFL: more levels as the loss falls, s_k = s_0 sqrt(F(w_1) / F(w_k)).

    Here s is the number of steps between the levels, 2^n - 1 at n bits, rounded up to whole bits. F is the loss of
    the global model on the test set, and w_1 the model after the first round.

    Args:
        first_bits: number of bits until a loss is known, 1 to 16.
        most_bits: upper bound, `first_bits` to 16.

    Reference: Jhunjhunwala et al. 2021, "Adaptive Quantization of Model Updates for Communication-Efficient
    Federated Learning".
    """

    first_bits: int = 2
    most_bits: int = 8

    def __post_init__(self) -> None:
        require(1 <= self.first_bits <= MAX_BITS, "first_bits", self.first_bits, f"1 to {MAX_BITS}")
        within = self.first_bits <= self.most_bits <= MAX_BITS
        require(within, "most_bits", self.most_bits, f"first_bits to {MAX_BITS}")

    def choose(self, outlook: Outlook) -> int:
        if not outlook.losses:
            return self.first_bits
        first, last = outlook.losses[0], outlook.losses[-1]
        # If the ratio of losses is undefined (0, NaN, infinity), the most bits.
        ratio = first / last if last > 0 else math.inf
        steps = (2**self.first_bits - 1) * math.sqrt(ratio) if ratio >= 0 else math.inf
        return _enough_bits(steps, 1, self.most_bits)


@dataclass(frozen=True)
class SpreadAdaptive(BitRule):
    """FedDQ: fewer bits as updates shrink, n = ceil(log2(1 + spread / resolution)).

    The spread is the largest minus the smallest element of the UE's last update, which the UE knows when it
    chooses.

    Args:
        resolution: width of a quantisation step, above 0.
        least_bits: lower bound, 1 to 16.
        most_bits: upper bound, `least_bits` to 16; also used until a spread is known.

    Reference: Qu et al. 2022, "FedDQ: Communication-Efficient Federated Learning with Descending Quantization".
    """

    resolution: float = 0.005
    least_bits: int = 1
    most_bits: int = 8

    def __post_init__(self) -> None:
        require(0 < self.resolution < math.inf, "resolution", self.resolution, "a finite number above 0")
        _require_bits(self.least_bits, self.most_bits)

    def choose(self, outlook: Outlook) -> int:
        if outlook.memory.spread == 0:
            return self.most_bits
        return _enough_bits(outlook.memory.spread / self.resolution, self.least_bits, self.most_bits)


BITS: Dict[str, Type[BitRule]] = {
    "fixed": FixedBits,
    "channel_adaptive": ChannelAdaptive,
    "adaquantfl": LossAdaptive,
    "feddq": SpreadAdaptive,
}
