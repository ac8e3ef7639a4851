"""Fixed point: one grid for every number of every UE, so that codes can be added."""

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np
import torch

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_count, require_factor
from fl_simu.kernel.parameters import Params, Structure
from fl_simu.radio.codecs.base import Codec, flatten, lengths, unflatten
from fl_simu.radio.codecs.bitplanes import pack, plane_bytes, unpack_into

MOST_BITS = 32


@dataclass(frozen=True)
class FixedPoint(Codec):
    r"""Each element is rounded to one grid, the same for every tensor, UE and round.

    .. math:: q = round(\min(\max(x, -L), L) / s), \quad s = L / (2^{n-1} - 1)

    A code is q + 2^(n-1) - 1, from 0 on. Elements beyond the limit L are clipped. So the codec suits updates of
    known magnitude, as after `clip`; see `secure`. There is one layer, which contains only codes.

    Args:
        bits: n, 2 to 24.
        limit: L, above 0.
        at_random: whether an element is rounded up or down at random, the nearer value with the higher
            probability, so that rounding is unbiased; otherwise to the nearest value.
        headroom_bits: h, extra bits per code that start as 0, so that the sum of 2^h codes fits; at most 32
            together with `bits`. `secure` needs and sets them.

    Reference: Bonawitz et al. 2017, "Practical Secure Aggregation for Privacy-Preserving Machine Learning".
    """

    bits: int = 16
    limit: float = 1.0
    at_random: bool = True
    headroom_bits: int = 0

    def __post_init__(self) -> None:
        require_count("bits", self.bits, least=2, most=24)
        require_factor("limit", self.limit)
        most = MOST_BITS - self.bits
        allowed = f"0 to {most}, so that a code has at most {MOST_BITS} bits"
        require(0 <= self.headroom_bits <= most, "headroom_bits", self.headroom_bits, allowed)

    @property
    def width(self) -> int:
        """Bits of a code on the air."""
        return self.bits + self.headroom_bits

    def layer_bits(self, dtype: torch.dtype = torch.float32) -> Tuple[int, ...]:
        return (self.width,)

    def layer_bytes(self, structure: Structure) -> Tuple[int, ...]:
        count, exact = lengths(structure)
        return (exact + self.width * plane_bytes(count),)

    def encode(self, params: Params, draws: np.random.Generator) -> Tuple[bytes, ...]:
        x, exact = flatten(params)
        scaled = x.astype(np.float64).clip(-self.limit, self.limit) / self.step
        rounded = np.floor(scaled + draws.random(len(scaled))) if self.at_random else np.rint(scaled)
        codes = (rounded.clip(-self._most, self._most) + self._most).astype(np.uint32)
        return (exact + self.layer_of(codes),)

    def decode(self, layers: Sequence[bytes], structure: Structure) -> Params:
        count, start = lengths(structure)
        return self.mean(self.codes_of(layers[0][start:], count), 1, structure, layers[0])

    def codes_of(self, layer: bytes, count: int) -> np.ndarray:
        """The codes of a number of elements, uint32."""
        codes = np.zeros(count, np.uint32)
        unpack_into(codes, layer, self.width - 1, 0)
        return codes

    def layer_of(self, codes: np.ndarray) -> bytes:
        """The inverse of `codes_of`."""
        return pack(codes, self.width - 1, 0)

    def mean(self, codes: np.ndarray, summands: int, structure: Structure, exact: bytes = b"") -> Params:
        """The mean of the elements of several UEs, given the sum of their codes.

        Args:
            codes: uint32, shape (elements,).
            summands: number of UEs in the sum, 1 or more.
            structure: structure of the params.
            exact: a layer that begins with the tensors that are not floating point, if there are any.
        """
        total = codes.astype(np.float64) - summands * self._most
        return unflatten((total * (self.step / summands)).astype(np.float32), exact, structure)

    @property
    def _most(self) -> int:
        return 2 ** (self.bits - 1) - 1

    @property
    def step(self) -> float:
        """Distance between adjacent numbers of the grid."""
        return self.limit / self._most
