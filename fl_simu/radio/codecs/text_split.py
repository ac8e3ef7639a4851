"""The notes' first idea: print each number, split the text, and send the front first."""

from dataclasses import dataclass
from typing import Iterable, Sequence, Tuple

import numpy as np
import torch

from fl_simu.kernel.errors import require
from fl_simu.kernel.parameters import Params, Structure
from fl_simu.radio.codecs.base import Codec, flatten, lengths, unflatten
from fl_simu.radio.codecs.tens import LARGEST_EXPONENT, exponent_of, power_of_ten

DIGITS = 9
COMMA, ZERO = np.uint8(ord(",")), np.uint8(ord("0"))
SIGNS = np.frombuffer(b"+-", np.uint8)


def _columns(texts: Iterable[str]) -> np.ndarray:
    """The characters at each position of texts of equal width, uint8, shape (width, texts)."""
    return np.array([list(text.encode()) for text in texts], dtype=np.uint8).T.copy()


# Dividing by ten nine times would be slow.
THREE_DIGITS = _columns(f"{number:03d}" for number in range(1000))
EXPONENTS = _columns(f"{exponent:+03d}" for exponent in range(-LARGEST_EXPONENT, LARGEST_EXPONENT + 1))


@dataclass(frozen=True)
class TextSplit(Codec):
    """Each number as text: sign, first digits and exponent in the base, the other digits in the enhancement.

    For example, -0.012345678 is written -1.2345678e-02. With three digits in front the base is "-123-02" and the
    enhancement "456780". Both are ASCII, without the point and the letter, whose positions are fixed. Nine
    significant digits identify every float32, so both layers together are exact. The base alone is rounded towards
    0.

    Args:
        front_digits: number of significant digits in the base, 1 to 8.

    Reference: notes, graded upload, 9.8 and 9.11: cut the string to make a base and an increment.
    """

    front_digits: int = 3

    def __post_init__(self) -> None:
        require(1 <= self.front_digits < DIGITS, "front_digits", self.front_digits, "1 to 8")

    def _widths(self) -> Tuple[int, int]:
        """Characters per element in each layer: sign, digits, sign and two digits of the exponent."""
        return 1 + self.front_digits + 3, DIGITS - self.front_digits

    def layer_bits(self, dtype: torch.dtype = torch.float32) -> Tuple[int, ...]:
        return tuple(8 * width for width in self._widths())

    def layer_bytes(self, structure: Structure) -> Tuple[int, ...]:
        count, exact = lengths(structure)
        front, back = (width * count for width in self._widths())
        return exact + front, back

    def encode(self, params: Params, draws: np.random.Generator) -> Tuple[bytes, ...]:
        x, exact = flatten(params)
        number, exponent = _scientific(np.abs(x, dtype=np.float64))
        text = np.empty((sum(self._widths()), len(x)), np.uint8)
        front, back = text[: self._widths()[0]], text[self._widths()[0] :]
        SIGNS.take(np.signbit(x), out=front[0], mode="clip")
        place = exponent.astype(np.intp) + LARGEST_EXPONENT
        for column, row in zip(EXPONENTS, front[-3:]):
            column.take(place, out=row, mode="clip")
        rows = iter([*front[1:-3], *back])
        thousands = number // np.uint32(1000)
        millions = thousands // np.uint32(1000)
        for group in (millions, thousands - millions * np.uint32(1000), number - thousands * np.uint32(1000)):
            places = group.astype(np.intp)
            for column in THREE_DIGITS:
                column.take(places, out=next(rows), mode="clip")
        return exact + front.tobytes(), back.tobytes()

    def decode(self, layers: Sequence[bytes], structure: Structure) -> Params:
        count, start = lengths(structure)
        widths = self._widths()
        front = np.frombuffer(layers[0], np.uint8, offset=start).reshape(widths[0], count)
        digits = list(front[1:-3])
        if len(layers) > 1:
            digits.extend(np.frombuffer(layers[1], np.uint8).reshape(widths[1], count))
        number = np.zeros(count, np.uint32)
        for digit in digits:
            number *= np.uint32(10)
            number += digit - ZERO
        exponent = ((front[-2] - ZERO) * np.uint8(10) + (front[-1] - ZERO)).astype(np.intp)
        exponent *= _sign(front[-3])
        exponent -= len(digits) - 1
        x = power_of_ten(exponent)
        x *= number
        x *= _sign(front[0])
        np.clip(x, -np.finfo(np.float32).max, np.finfo(np.float32).max, out=x)
        return unflatten(x.astype(np.float32), layers[0], structure)


def _scientific(size: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Nine significant digits as an integer (uint32), and the exponent of the first; 0 and 0 for 0."""
    exponent = exponent_of(size)
    number = power_of_ten(DIGITS - 1 - exponent)
    number *= size
    np.rint(number, out=number)
    ten_digits = number >= 10.0**DIGITS
    number[ten_digits] = 10.0 ** (DIGITS - 1)
    exponent += ten_digits
    return number.astype(np.uint32), exponent


def _sign(characters: np.ndarray) -> np.ndarray:
    """1 for "+" and -1 for "-", int8; in ASCII "," lies between them."""
    return (COMMA - characters).view(np.int8)
