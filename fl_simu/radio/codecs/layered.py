"""Common part of the quantisers: codes of n bits, with the top bits as base and the lower bits as enhancements."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Sequence, Tuple, TypeVar

import numpy as np
import torch

from fl_simu.kernel.errors import require
from fl_simu.kernel.parameters import Params, Structure, TensorSpec, structure_of
from fl_simu.radio.codecs.base import Codec, flatten, lengths, split, unflatten
from fl_simu.radio.codecs.bitplanes import bit_ranges, pack, plane_bytes, unpack_into

MAX_BITS = 16
Quantiser = TypeVar("Quantiser", bound="Layered")


@dataclass(frozen=True)
class Layered(Codec):
    """A quantiser with any number of bits, split into a base and any number of enhancements.

    The base holds the top bits of each code, and each enhancement the next ones. All floating-point tensors are
    quantised together, as one flat array. The base layer also holds a head (scales, signs) and, exactly, the
    tensors that are not floating point.

    Args:
        base_bits: bits per parameter in the base layer, 1 to 16.
        enhancement_bits: bits per parameter of each enhancement, each 1 or more; together with the base at most
            16. No enhancement if empty.

    Raises:
        BadField: a number of bits below 1, or above 16 in all.
    """

    base_bits: int = 4
    enhancement_bits: Tuple[int, ...] = ()

    max_bits: ClassVar[int] = MAX_BITS

    def __post_init__(self) -> None:
        require(1 <= self.base_bits <= self.max_bits, "base_bits", self.base_bits, f"1 to {self.max_bits}")
        enough = all(bits >= 1 for bits in self.enhancement_bits)
        require(enough, "enhancement_bits", self.enhancement_bits, "each at least 1")
        fits = self.total_bits <= self.max_bits
        allowed = f"base and enhancements together at most {self.max_bits} bits"
        require(fits, "enhancement_bits", self.enhancement_bits, allowed)

    @property
    def total_bits(self) -> int:
        """Bits of a complete code."""
        return self.base_bits + sum(self.enhancement_bits)

    def with_bits(self: Quantiser, base_bits: int, *enhancement_bits: int) -> Quantiser:
        """The same quantiser with other numbers of bits."""
        return replace(self, base_bits=base_bits, enhancement_bits=enhancement_bits)

    def layer_bits(self, dtype: torch.dtype = torch.float32) -> Tuple[int, ...]:
        return (self.base_bits, *self.enhancement_bits)

    def layer_bytes(self, structure: Structure) -> Tuple[int, ...]:
        count, exact = lengths(structure)
        planes = [bits * plane_bytes(count) for bits in self.layer_bits()]
        planes[0] += exact + self.head_bytes(split(structure)[0])
        return tuple(planes)

    def encode(self, params: Params, draws: np.random.Generator) -> Tuple[bytes, ...]:
        x, exact = flatten(params)
        head, codes = self.quantise(x, split(structure_of(params))[0], draws)
        base, *others = [pack(codes, first, last) for first, last in bit_ranges(self.layer_bits())]
        return (exact + head + base, *others)

    def decode(self, layers: Sequence[bytes], structure: Structure) -> Params:
        (count, start), (floating, _) = lengths(structure), split(structure)
        base = start + self.head_bytes(floating)
        codes = np.zeros(count, dtype=self.code_dtype())
        for data, (first, last) in zip([layers[0][base:], *layers[1:]], bit_ranges(self.layer_bits())):
            unpack_into(codes, data, first, last)
        missing = sum(self.layer_bits()[len(layers) :])
        x = self.restore(layers[0][start:base], codes, missing, floating)
        return unflatten(x, layers[0], structure)

    def code_dtype(self) -> np.dtype:
        """The smallest dtype that holds a code."""
        return np.dtype(np.uint8 if self.total_bits <= 8 else np.uint16)

    @abstractmethod
    def head_bytes(self, floating: Sequence[TensorSpec]) -> int:
        """Length of the head in bytes."""

    @abstractmethod
    def quantise(
        self, x: np.ndarray, floating: Sequence[TensorSpec], draws: np.random.Generator
    ) -> Tuple[bytes, np.ndarray]:
        """The head, and the code of each element.

        Args:
            x: the elements of all floating-point tensors, shape (elements,).
            floating: the specs of these tensors.
            draws: for quantisers that round at random.
        """

    @abstractmethod
    def restore(self, head: bytes, codes: np.ndarray, missing: int, floating: Sequence[TensorSpec]) -> np.ndarray:
        """The elements decoded from codes whose lowest `missing` bits are unknown (0)."""
