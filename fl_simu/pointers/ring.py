"""Integers modulo `field` in int64 tensors: drawn, centred, multiplied."""

import os
from typing import Any, Sequence

import numpy as np
import torch

FIELD = 2**62
# Of any two elements the sum is an int64; of this many bits or fewer so is the product, and a long sum.
LARGEST, SMALL = 2**62, 2**31


def checked(field: int) -> int:
    """A field whose arithmetic int64 holds exactly: powers of two wrap with it, small ones never reach its end.

    Raises:
        ValueError: it is another one.
    """
    power = field > 1 and field & (field - 1) == 0
    if not (2 <= field <= SMALL or (power and field <= LARGEST)):
        raise ValueError(f"field {field} is not allowed: a power of two up to 2**62, or a number from 2 to 2**31")
    return field


def uniform(shape: Sequence[int], field: int) -> torch.Tensor:
    """Elements drawn uniformly by the operating system's cryptographic generator, whatever seeds were set.

    torch's generator is a Mersenne Twister also when it is seeded from there: who has seen 624 words of it, and a
    worker sees its shares, knows all others. 0.2.4 draws shares from it.
    """
    count = int(np.prod(shape, dtype=np.int64))
    bits = np.uint64((1 << (field - 1).bit_length()) - 1)
    drawn = np.frombuffer(os.urandom(8 * count), np.uint64) & bits
    while True:
        # A power of two keeps them all; otherwise what is too large is drawn again, so that none is likelier.
        (large,) = np.nonzero(drawn >= np.uint64(field))
        if not len(large):
            return torch.from_numpy(drawn.astype(np.int64)).reshape(tuple(shape))
        drawn[large] = np.frombuffer(os.urandom(8 * len(large)), np.uint64) & bits


def advance_torch(shape: Sequence[int], field: int) -> None:
    """Take from torch's generator what 0.2.4 takes for a share, so that what a script draws later is the same."""
    torch.empty(tuple(shape), dtype=torch.int64).random_(int(-field / 2), int(field / 2) - 1)


def centred(values: torch.Tensor, field: int) -> torch.Tensor:
    """Elements as the numbers that they stand for, from above -field / 2 to field / 2."""
    values = values % field
    return values - field * (values > field // 2).long()


def product(operation: Any, values: Any, factor: Any, field: int) -> torch.Tensor:
    """`operation` is mul or matmul; one of the two may be a number."""
    values, factor = (one % field for one in (values, factor))
    return operation(values, factor) % field


def cut(values: torch.Tensor, divisor: Any) -> torch.Tensor:
    """Quotients without their fraction, towards zero."""
    return torch.div(values, divisor, rounding_mode="trunc")
