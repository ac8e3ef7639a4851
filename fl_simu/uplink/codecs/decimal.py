"""The notes' quantiser in scientific notation: a sign, a decimal exponent, and a fraction in bits."""

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np

from fl_simu.kernel.parameters import TensorSpec
from fl_simu.uplink.codecs.layered import Layered

# Every float32 but 0 is m 10^e with m in [0.1, 1) and e in -44..39.
LEAST_EXPONENT, EXPONENTS = -45, 86
POWERS = 10.0 ** np.arange(LEAST_EXPONENT, LEAST_EXPONENT + EXPONENTS)


@dataclass(frozen=True)
class Decimal(Layered):
    r"""The notes' decimal quantiser: :math:`x = \pm m\,10^e` with m in [0.1, 1), m kept to n bits, rounded down.

    0.825 becomes 0.5 at 1 bit and 0.75 at 2 or 3 bits; two bits more on top of two make it 0.8125. The error is
    below :math:`10^e\,2^{-n}`, at most ten times |x| / 2^n. 0 stays 0 and signs are kept. The head holds one byte
    an element, its sign and its exponent.

    The notes write the integer part apart and scale the fraction alone; here a number of 1 or more gets a positive
    exponent, which is the same for all numbers below 1.

    Args:
        base_bits, enhancement_bits: as for every layered quantiser, bits of the fraction m.

    Reference: notes, graded upload, quantisation of decimals.
    """

    def head_bytes(self, floating: Sequence[TensorSpec]) -> int:
        return sum(spec.elements for spec in floating)

    def quantise(
        self, x: np.ndarray, floating: Sequence[TensorSpec], draws: np.random.Generator
    ) -> Tuple[bytes, np.ndarray]:
        size = np.abs(x, dtype=np.float64)
        something = size > 0
        size[~something] = 0.5
        place = np.log10(size)
        np.floor(place, out=place)
        index = place.astype(np.int16)
        index += 1 - LEAST_EXPONENT
        # A logarithm next to an integer may fall on the wrong side of it.
        fraction = size / POWERS[index]
        index += fraction >= 1
        index -= fraction < 0.1
        np.divide(size, POWERS[index], out=fraction)
        fraction *= 2**self.total_bits
        codes = np.minimum(fraction, 2**self.total_bits - 1).astype(self.code_dtype())
        codes *= something
        head = np.where(something, index + 1, 0).astype(np.uint8)
        head |= np.signbit(x).astype(np.uint8) << np.uint8(7)
        return head.tobytes(), codes

    def restore(self, head: bytes, codes: np.ndarray, missing: int, floating: Sequence[TensorSpec]) -> np.ndarray:
        marks = np.frombuffer(head, np.uint8)
        scale = np.concatenate([[0.0], POWERS, np.zeros(127 - EXPONENTS)]) / 2**self.total_bits
        scale = np.concatenate([scale, -scale])
        return (codes * scale.take(marks)).astype(np.float32)
