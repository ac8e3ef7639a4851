"""Integer codes as planes of bits, the most significant plane first.

A plane holds one bit of every code. A prefix of the planes is the code without its lowest bits, so a layered
codec sends its top planes as the base and the others as enhancements, at any number of bits.
"""

from typing import List, Sequence, Tuple

import numpy as np

# Each byte of a plane gives eight bits, each in the lowest bit of a byte of a word.
_SPREAD = np.unpackbits(np.arange(256, dtype=np.uint8)[:, np.newaxis], axis=1).view(np.uint64)[:, 0]


def plane_bytes(count: int) -> int:
    """Length in bytes of one plane of `count` codes."""
    return (count + 7) // 8


def pack(codes: np.ndarray, first: int, last: int) -> bytes:
    """Bits `first` down to `last` (inclusive) of each code, plane by plane.

    Args:
        codes: unsigned integers, shape (count,).
        first: number of the most significant bit wanted; 0 is the lowest.
        last: number of the least significant bit wanted, at most `first`.

    >>> pack(np.array([2, 1, 3], dtype=np.uint8), 1, 0).hex()
    'a060'
    """
    planes = []
    for bit in range(first, last - 1, -1):
        planes.append(np.packbits((codes & codes.dtype.type(1 << bit)).astype(bool)).tobytes())
    return b"".join(planes)


def unpack_into(codes: np.ndarray, data: bytes, first: int, last: int) -> None:
    """Set bits `first` down to `last` of `codes`, in place, from the output of `pack`."""
    width = plane_bytes(len(codes))
    for byte in range(last // 8, first // 8 + 1):
        words = np.zeros(width, np.uint64)
        for bit in range(max(last, 8 * byte), min(first, 8 * byte + 7) + 1):
            plane = np.frombuffer(data, np.uint8, count=width, offset=(first - bit) * width)
            words |= (_SPREAD << np.uint64(bit - 8 * byte)).take(plane)
        bits = words.view(np.uint8)[: len(codes)].astype(codes.dtype, copy=False)
        codes |= bits << codes.dtype.type(8 * byte) if byte else bits


def bit_ranges(layer_bits: Sequence[int]) -> List[Tuple[int, int]]:
    """First and last bit of each layer, numbered from the lowest bit of the complete code.

    >>> bit_ranges((2, 1))
    [(2, 1), (0, 0)]
    """
    ranges, top = [], sum(layer_bits)
    for bits in layer_bits:
        ranges.append((top - 1, top - bits))
        top -= bits
    return ranges
