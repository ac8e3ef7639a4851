"""Losses: which layers of an upload never arrive, and the cost of retransmissions. One class per kind, one row
below.

Each draw is for one layer: how many bits go on the air for it, and whether it arrives. The resulting probabilities
also have closed forms: `lost_after`, `mean_tries`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Dict, NamedTuple, Type

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_count, require_share
from fl_simu.radio.rayleigh import waterfall_arrives, waterfall_error

MOST_TRIES = 100


class Carried(NamedTuple):
    """The outcome of one layer.

    Args:
        bits: bits that the UE puts on the air for it, including retransmissions.
        arrives: whether the BS can decode it in the end.
    """

    bits: int
    arrives: bool


class Loss(ABC):
    """Which layers of an upload are lost on the air.

    A lost layer still takes its time on the air, its bits and its energy. The BS learns of the loss at the moment
    at which the layer would have arrived, and waits for no more of that upload. It keeps the layers before the
    lost one; those after it are of no use. The UE does not learn of the loss and sends the rest.

    With more than one try, a failed transmission is repeated at once, which multiplies bits and time. The feedback
    that requests it is free and takes no time. The channel's rate does not change. A channel that adapts its rate
    to the SNR, such as `fading`, is refused: its rate is already what arrives, and additional losses would count
    fading twice.
    """

    @abstractmethod
    def carry(self, size_bits: int, draws: np.random.Generator) -> Carried:
        """Send one layer of a number of bits, at least 0."""


@dataclass(frozen=True)
class NoLoss(Loss):
    """Every layer that the channel carries arrives."""

    def carry(self, size_bits: int, draws: np.random.Generator) -> Carried:
        return Carried(size_bits, True)


class Tried(Loss):
    """A failed transmission is repeated, up to `tries` times in all."""

    tries: int

    @abstractmethod
    def lost_after(self, tries: int) -> float:
        """The probability that a block cannot be decoded after this number of tries, at least 1."""

    def mean_tries(self) -> float:
        r"""The mean number of times that a block is sent.

        .. math:: \sum_{k=0}^{n-1} P(\text{not read after } k) = \frac{1 - q^n}{1 - q}

        where n is the maximum number of tries, and each fails independently with probability q.

        >>> round(Fixed(error_rate=0.5, tries=3).mean_tries(), 6)
        1.75
        """
        return 1.0 + sum(self.lost_after(tries) for tries in range(1, self.tries))


@dataclass(frozen=True)
class Fixed(Tried):
    r"""A packet is lost with a fixed probability; a layer arrives if all its packets do.

    .. math:: P(\text{arrives}) = (1 - e^n)^N

    for N packets that are each sent up to n times. The last packet of a layer may be shorter.

    Args:
        error_rate: e, the probability that a packet is lost, 0 or more and below 1.
        packet_bytes: length of a packet in bytes, 16 or more.
        tries: n, maximum number of transmissions of a packet (ARQ), 1 to 100; with 1 it is never repeated.
    """

    error_rate: float = 1e-4
    packet_bytes: int = 1500
    tries: int = 1

    def __post_init__(self) -> None:
        require_share("error_rate", self.error_rate)
        require_count("packet_bytes", self.packet_bytes, least=16)
        require_count("tries", self.tries, most=MOST_TRIES)

    def lost_after(self, tries: int) -> float:
        return self.error_rate**tries

    def packets(self, size_bits: int) -> int:
        """N, the number of packets of a layer."""
        return -(-size_bits // (8 * self.packet_bytes))

    def carry(self, size_bits: int, draws: np.random.Generator) -> Carried:
        packets, packet_bits = self.packets(size_bits), 8 * self.packet_bytes
        if not packets or not self.error_rate:
            return Carried(size_bits, True)
        # P(failures >= k) = e^k.
        failures = np.floor(np.log1p(-draws.random(packets)) / math.log(self.error_rate))
        again = np.minimum(failures, self.tries - 1).astype(np.int64)
        last_bits = size_bits - (packets - 1) * packet_bits
        again_bits = int(again[:-1].sum()) * packet_bits + int(again[-1]) * last_bits
        return Carried(size_bits + again_bits, bool((failures < self.tries).all()))


@dataclass(frozen=True)
class Waterfall(Tried):
    r"""A layer is one block, lost with a probability that falls steeply with the SINR, over Rayleigh fading.

    .. math:: q = E_h\left[1 - e^{-m (I + B N_0) / (P h)}\right] = 1 - 2 \sqrt{a} K_1(2 \sqrt{a}), \quad
        a = \frac{m}{\overline{SINR}}

    Here h is exponential with mean 1, and drawn for each layer and each try.

    Args:
        threshold_db: m in dB, the waterfall threshold, -100 to 100. The paper prints 0.023 dB, which is the factor
            1.005. Its author's code has the factor 1.08 (0.334 dB). Others use 0.023 as the factor itself (-16.383
            dB), 47 times less than 1.08.
        sinr_db: mean of P h / (I + B N_0) in dB, -100 to 100.
        fading: whether h is drawn; otherwise h is 1, and q follows from the mean SINR alone.
        tries: maximum number of transmissions of a layer (ARQ), 1 to 100.

    Reference: Chen, Yang, Saad, Yin, Poor, Cui 2021, "A Joint Learning and Communications Framework for Federated
    Learning over Wireless Networks".
    """

    threshold_db: float = 0.023
    sinr_db: float = 20.0
    fading: bool = True
    tries: int = 1

    def __post_init__(self) -> None:
        _require_db("threshold_db", self.threshold_db)
        _require_db("sinr_db", self.sinr_db)
        require_count("tries", self.tries, most=MOST_TRIES)

    def error_rate(self) -> float:
        """q, the error probability of one try.

        >>> round(Waterfall(threshold_db=0.0, sinr_db=10.0).error_rate(), 4)
        0.2334
        """
        ratio = self._ratio()
        return waterfall_error(ratio) if self.fading else -math.expm1(-ratio)

    def lost_after(self, tries: int) -> float:
        return self.error_rate() ** tries

    def carry(self, size_bits: int, draws: np.random.Generator) -> Carried:
        ratio = self._ratio()
        for tried in range(1, self.tries + 1):
            if waterfall_arrives(ratio, draws, self.fading):
                return Carried(tried * size_bits, True)
        return Carried(self.tries * size_bits, False)

    def _ratio(self) -> float:
        return _factor(self.threshold_db - self.sinr_db)


@dataclass(frozen=True)
class Outage(Tried):
    r"""A layer is one block at a fixed rate, lost when Rayleigh fading supports less than that rate (outage).

    .. math:: q = P(B \log_2(1 + \overline{snr} h) < R) = 1 - e^{-x}, \quad x = \frac{2^{R/B} - 1}{\overline{snr}}

    Here h is exponential with mean 1, and drawn for each layer and each try. With `combining` the BS adds up the
    signals of all tries (HARQ with chase combining): after L tries a layer is lost with the regularised gamma
    function P(L, x).

    Args:
        spectral_efficiency: R / B in bit/s/Hz, above 0 and at most 30: the fixed spectral efficiency of the UE's
            transmission.
        snr_db: mean SNR in dB, -100 to 100.
        combining: whether the BS combines the tries, or decodes each on its own (ARQ).
        tries: maximum number of transmissions of a layer, 1 to 100.

    Reference: Goldsmith, Wireless Communications, section 4.2.3 (outage); Caire, Tuninetti 2001, "The Throughput
    of Hybrid-ARQ Protocols for the Gaussian Collision Channel" (combining).
    """

    spectral_efficiency: float = 1.0
    snr_db: float = 20.0
    combining: bool = False
    tries: int = 1

    def __post_init__(self) -> None:
        efficiency = self.spectral_efficiency
        require(0 < efficiency <= 30, "spectral_efficiency", efficiency, "above 0 and at most 30")
        _require_db("snr_db", self.snr_db)
        require_count("tries", self.tries, most=MOST_TRIES)

    def least_gain(self) -> float:
        """x, the smallest gain h at which a layer can be decoded."""
        return math.expm1(self.spectral_efficiency * math.log(2)) / _factor(self.snr_db)

    def lost_after(self, tries: int) -> float:
        least = self.least_gain()
        return _gamma_p(tries, least) if self.combining else (-math.expm1(-least)) ** tries

    def carry(self, size_bits: int, draws: np.random.Generator) -> Carried:
        least, gain = self.least_gain(), 0.0
        for tried in range(1, self.tries + 1):
            gain = -math.log1p(-draws.random()) + (gain if self.combining else 0.0)
            if gain >= least:
                return Carried(tried * size_bits, True)
        return Carried(self.tries * size_bits, False)


def _gamma_p(count: int, x: float) -> float:
    """The regularised gamma function: the probability that `count` exponential draws of mean 1 sum to below x."""
    from scipy.special import gammainc

    return float(gammainc(count, x))


def _factor(decibels: float) -> float:
    return 10 ** (decibels / 10)


def _require_db(field: str, value: float) -> None:
    require(-100 <= value <= 100, field, value, "in dB, -100 to 100")


LOSSES: Dict[str, Type[Loss]] = {"none": NoLoss, "fixed": Fixed, "waterfall": Waterfall, "outage": Outage}
