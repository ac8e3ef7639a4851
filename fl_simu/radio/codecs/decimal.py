"""The notes' quantiser in scientific notation: a sign, a decimal exponent, and a fraction in bits."""

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np

from fl_simu.kernel.parameters import TensorSpec
from fl_simu.radio.codecs.layered import Layered
from fl_simu.radio.codecs.tens import exponent_of, power_of_ten

# Every float32 except 0 is m 10^e with m in [0.1, 1) and e in -44..39; the head holds e + 46, and 0 for 0.
EXPONENT_BIAS = 46


@dataclass(frozen=True)
class Decimal(Layered):
    r"""The notes' decimal quantiser: |x| = m * 10^e with m in [0.1, 1), m kept to n bits, rounded down.

    0.825 becomes 0.5 at 1 bit and 0.75 at 2 or 3 bits; two more bits on top of two give 0.8125. The error is below
    :math:`10^e\,2^{-n}`, at most ten times |x| / 2^n. 0 stays 0 and signs are kept. The head holds one byte per
    element, for its sign and exponent.

    The notes store the integer part separately and scale only the fraction. Here a number of 1 or more gets a
    positive exponent; for all numbers below 1 the two methods agree. The bits in the arguments are those of the
    fraction m.

    Reference: notes, graded upload, quantisation of decimals.
    """

    def head_bytes(self, floating: Sequence[TensorSpec]) -> int:
        return sum(spec.elements for spec in floating)

    def quantise(
        self, x: np.ndarray, floating: Sequence[TensorSpec], draws: np.random.Generator
    ) -> Tuple[bytes, np.ndarray]:
        size = np.abs(x, dtype=np.float64)
        exponent = exponent_of(size)
        exponent += 1
        marks = exponent.astype(np.uint8)
        marks += np.uint8(EXPONENT_BIAS)
        marks *= size > 0
        marks |= np.signbit(x).astype(np.uint8) << np.uint8(7)
        size /= power_of_ten(exponent)
        size *= 2**self.total_bits
        return marks.tobytes(), size.astype(self.code_dtype())

    def restore(self, head: bytes, codes: np.ndarray, missing: int, floating: Sequence[TensorSpec]) -> np.ndarray:
        steps = power_of_ten(np.arange(128) - EXPONENT_BIAS) / 2**self.total_bits
        return (codes * np.concatenate([steps, -steps]).take(np.frombuffer(head, np.uint8))).astype(np.float32)
