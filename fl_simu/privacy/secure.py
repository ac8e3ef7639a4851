"""Secure aggregation: the BS learns the sum of the updates, and no single update."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Dict, Mapping, Optional, Sequence, Tuple, Type

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_count
from fl_simu.kernel.parameters import Params, Structure
from fl_simu.kernel.randomness import briefly
from fl_simu.radio.codecs.base import lengths
from fl_simu.radio.codecs.fixed_point import MOST_BITS, FixedPoint
from fl_simu.radio.link import Link, Upload


class SecureAggregation(ABC):
    """How single updates are hidden from the BS.

    A secure aggregation is a frozen dataclass.

    The UEs quantise their updates on one grid (codec `fixed_point`) and seal the codes, which are added modulo
    2^w, with w bits per code. The BS opens the sum of the codes that it accepts and computes their plain mean. All
    draws are keyed, so no state is kept.

    Class attributes:
        active: whether anything is sealed.
    """

    active: ClassVar[bool] = True

    @abstractmethod
    def uplink_bits(self, ues: int) -> int:
        """Bits that a UE sends in addition to its codes, given the size of its cohort."""

    @abstractmethod
    def downlink_bits(self, ues: int) -> int:
        """Bits that the BS sends to a UE in addition to the model, given the size of its cohort."""

    @abstractmethod
    def seal(
        self, codes: np.ndarray, width: int, seed: int, ue: int, round: int, cohort: Sequence[int]
    ) -> np.ndarray:
        """Seal the codes of a UE.

        Args:
            codes: uint32, shape (elements,), each below 2^width; not changed.
            width: w, at most 32.
            seed, ue, round: the key of draws.
            cohort: the UEs that were handed the model together with this UE, in order, including it.

        Returns:
            What the UE sends instead: uint32, the same shape, each below 2^width.
        """

    @abstractmethod
    def open(
        self, sealed: Mapping[int, np.ndarray], width: int, seed: int, round: int, cohort: Sequence[int]
    ) -> Optional[np.ndarray]:
        """The sum of the codes of these UEs, modulo 2^width; None if it stays sealed.

        Args:
            sealed: the results of `seal` that the BS accepts, by UE; not changed.
            width, seed, round, cohort: as for `seal`.
        """

    def least(self, ues: int) -> int:
        """Number of UEs that are needed to open a sum, given the size of the cohort."""
        return 1

    def link(self, link: Link, ues: int) -> Link:
        """The uplink of a cohort of a given size. Its codec has room for the sum, and the traffic is charged.

        Raises:
            BadField: the codec has too little room.
        """
        if not self.active:
            return link
        codec = link.codec
        assert isinstance(codec, FixedPoint)
        headroom = (ues - 1).bit_length()
        most = MOST_BITS - headroom
        allowed = f"at most {most}: a sum of {ues} codes has {headroom} bits more, and {MOST_BITS} are the most"
        require(codec.bits <= most, "codec.bits", codec.bits, allowed)
        return replace(link, codec=replace(codec, headroom_bits=headroom), overhead_bits=self.uplink_bits(ues))

    def check(self, ues: int) -> None:  # noqa: B027
        """Raise BadField unless it hides anything in a cohort of this size."""


class Sums:
    """The codec's side of secure aggregation: layers to codes and back.

    Args:
        secure: the secure aggregation.
        link: the uplink that `SecureAggregation.link` returned.
    """

    def __init__(self, secure: SecureAggregation, link: Link) -> None:
        assert isinstance(link.codec, FixedPoint)
        self._secure = secure
        self._codec = link.codec
        self._seed = link.seed

    def sealed(
        self, layers: Sequence[bytes], elements: int, upload: Upload, cohort: Sequence[int]
    ) -> Tuple[bytes]:
        """What a UE sends instead of its layers."""
        codes = self._codec.codes_of(layers[0], elements)
        found = self._secure.seal(codes, self._codec.width, self._seed, upload.ue, upload.version, cohort)
        return (self._codec.layer_of(found),)

    def mean(
        self, sent: Mapping[int, bytes], structure: Structure, version: int, cohort: Sequence[int]
    ) -> Optional[Params]:
        """The plain mean of the uploads of these UEs; None if it stays sealed.

        Args:
            sent: the sealed layer of each UE that the BS accepts.
            structure: structure of what they encoded.
            version: version of the global model that the cohort was handed.
            cohort: the UEs that were handed it, in order.
        """
        count, _ = lengths(structure)
        codes = {ue: self._codec.codes_of(layer, count) for ue, layer in sent.items()}
        total = self._secure.open(codes, self._codec.width, self._seed, version, cohort)
        return None if total is None else self._codec.mean(total, len(sent), structure)


@dataclass(frozen=True)
class NoSecureAggregation(SecureAggregation):
    """The BS decodes every update that it accepts."""

    active = False

    def uplink_bits(self, ues: int) -> int:
        return 0

    def downlink_bits(self, ues: int) -> int:
        return 0

    def seal(
        self, codes: np.ndarray, width: int, seed: int, ue: int, round: int, cohort: Sequence[int]
    ) -> np.ndarray:
        return codes

    def open(
        self, sealed: Mapping[int, np.ndarray], width: int, seed: int, round: int, cohort: Sequence[int]
    ) -> Optional[np.ndarray]:
        return _modulo(sum(sealed.values(), np.uint32(0)), width)


@dataclass(frozen=True)
class PairwiseMasks(SecureAggregation):
    r"""Masks that cancel in the sum of a cohort; the masks of UEs whose upload is lost are recovered.

    .. math:: y_u = q_u + b_u + \sum_{v > u} m_{uv} - \sum_{v < u} m_{uv} \mod 2^w

    where q_u are the codes of UE u, b_u is a mask of its own, and m_uv is a mask that it shares with UE v of its
    cohort. All masks are uniform. w is the number of bits per code plus :math:`\lceil \log_2 n \rceil` for a
    cohort of n. So a UE sends uniform numbers, whatever it trained.

    If the BS accepts the uploads of at least t = ceil(`threshold` n) UEs, these UEs send it shares of their b_u,
    and of the masks m_uv of the others. If they are fewer, the sum stays sealed and the model does not change.

    The masks are really computed: a round draws as many numbers as n^2 models have. Keys and shares are only
    counted. In the paper's notation, a UE sends two keys of a_K bits, two shares of a_S bits to each other UE, and
    n shares to open the sum, in all

    .. math:: 2 a_K + (3 n - 2) a_S

    which is charged and sent with its codes; 2 (n - 1) a_K + 2 (n - 1) a_S + n are sent down with the model. All
    UEs of a cohort share keys, including those that later fail. The protocol's four exchanges take no time other
    than that of their bits.

    Args:
        threshold: smallest share of the cohort that opens the sum, above 0.5, so that no two sums of a round can
            be opened, and at most 1.
        key_bits: a_K, 1 to 65536.
        share_bits: a_S, 1 to 65536.

    Reference: Bonawitz et al. 2017, "Practical Secure Aggregation for Privacy-Preserving Machine Learning".
    """

    threshold: float = 0.66
    key_bits: int = 256
    share_bits: int = 256

    def __post_init__(self) -> None:
        require(0.5 < self.threshold <= 1, "threshold", self.threshold, "above 0.5 and at most 1")
        require_count("key_bits", self.key_bits, most=65536)
        require_count("share_bits", self.share_bits, most=65536)

    def check(self, ues: int) -> None:
        require(ues > 1, "ues_per_round", ues, "at least 2: the sum of one UE's codes hides nothing")

    def least(self, ues: int) -> int:
        # The rounding error of a product that is a whole number is removed before rounding up.
        return max(2, math.ceil(self.threshold * ues - 1e-9))

    def uplink_bits(self, ues: int) -> int:
        return 2 * self.key_bits + (3 * ues - 2) * self.share_bits

    def downlink_bits(self, ues: int) -> int:
        return 2 * (ues - 1) * (self.key_bits + self.share_bits) + ues

    def seal(
        self, codes: np.ndarray, width: int, seed: int, ue: int, round: int, cohort: Sequence[int]
    ) -> np.ndarray:
        masked = codes + _own_mask(seed, ue, round, len(codes))
        for other in cohort:
            if other != ue:
                masked += _shared_mask(seed, ue, other, round, len(codes))
        return _modulo(masked, width)

    def open(
        self, sealed: Mapping[int, np.ndarray], width: int, seed: int, round: int, cohort: Sequence[int]
    ) -> Optional[np.ndarray]:
        if len(sealed) < self.least(len(cohort)):
            return None
        lost = [ue for ue in cohort if ue not in sealed]
        total = np.zeros_like(next(iter(sealed.values())))
        for ue, masked in sealed.items():
            total += masked - _own_mask(seed, ue, round, len(masked))
            for other in lost:
                total -= _shared_mask(seed, ue, other, round, len(masked))
        return _modulo(total, width)


# Sums of uint32 are taken modulo 2^32, which is a multiple of 2^w.
def _modulo(codes: np.ndarray, width: int) -> np.ndarray:
    return codes & np.uint32(2**width - 1)


def _uniform(seed: int, stage: str, ue: int, round: int, count: int) -> np.ndarray:
    return np.frombuffer(briefly(seed, stage, ue, round).bytes(4 * count), "<u4").astype(np.uint32, copy=False)


def _own_mask(seed: int, ue: int, round: int, count: int) -> np.ndarray:
    return _uniform(seed, "own mask", ue, round, count)


def _shared_mask(seed: int, ue: int, other: int, round: int, count: int) -> np.ndarray:
    """The mask that a UE adds for another UE, which adds the negative of it."""
    mask = _uniform(seed, f"mask shared with {max(ue, other)}", min(ue, other), round, count)
    return mask if ue < other else np.negative(mask)


SECURE: Dict[str, Type[SecureAggregation]] = {"none": NoSecureAggregation, "pairwise_masks": PairwiseMasks}
