"""Integers modulo `field` in int64 tensors: draw, centre, multiply."""

import os
from typing import Any, Sequence

import numpy as np
import torch

FIELD = 2**62
# The sum of any two elements fits in int64; for a field of at most SMALL, so do a product and a long sum.
LARGEST, SMALL = 2**62, 2**31


def checked(field: int) -> int:
    """Return a field whose arithmetic is exact in int64: powers of two wrap with it, small ones never overflow.

    Raises:
        ValueError: it is neither.
    """
    power = field > 1 and field & (field - 1) == 0
    if not (2 <= field <= SMALL or (power and field <= LARGEST)):
        raise ValueError(f"field {field} is not allowed: a power of two up to 2**62, or a number from 2 to 2**31")
    return field


def uniform(shape: Sequence[int], field: int) -> torch.Tensor:
    """Draw elements uniformly with the operating system's cryptographic generator, regardless of any seeds.

    torch's generator, from which 0.2.4 draws shares, is a Mersenne Twister, even if the operating system seeds
    it. Anyone who has seen 624 words of it can compute all others, and a worker sees its shares.
    """
    count = int(np.prod(shape, dtype=np.int64))
    bits = np.uint64((1 << (field - 1).bit_length()) - 1)
    drawn = np.frombuffer(os.urandom(8 * count), np.uint64) & bits
    while True:
        # A power of two keeps all draws; otherwise values that are too large are redrawn, which keeps it uniform.
        (large,) = np.nonzero(drawn >= np.uint64(field))
        if not len(large):
            return torch.from_numpy(drawn.astype(np.int64)).reshape(tuple(shape))
        drawn[large] = np.frombuffer(os.urandom(8 * len(large)), np.uint64) & bits


def advance_torch(shape: Sequence[int], field: int) -> None:
    """Draw from torch's generator what 0.2.4 draws for a share, so that the script's later draws stay the same."""
    torch.empty(tuple(shape), dtype=torch.int64).random_(int(-field / 2), int(field / 2) - 1)


def centred(values: torch.Tensor, field: int) -> torch.Tensor:
    """Elements as the signed numbers that they represent, above -field / 2 and up to field / 2."""
    values = values % field
    return values - field * (values > field // 2).long()


def product(operation: Any, values: Any, factor: Any, field: int) -> torch.Tensor:
    """Multiply modulo `field`: `operation` is mul or matmul; one operand may be a plain number."""
    values, factor = (one % field for one in (values, factor))
    return operation(values, factor) % field


def cut(values: torch.Tensor, divisor: Any) -> torch.Tensor:
    """Divide, rounding towards zero."""
    return torch.div(values, divisor, rounding_mode="trunc")
