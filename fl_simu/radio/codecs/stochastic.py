"""Stochastic rounding: wrong in every element, right on average."""

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import require
from fl_simu.kernel.parameters import TensorSpec
from fl_simu.radio.codecs.bitplanes import pack, plane_bytes, unpack_into
from fl_simu.radio.codecs.layered import Layered

MOST_IN_BUCKET = 10**9


@dataclass(frozen=True)
class Stochastic(Layered):
    r"""QSGD: each element is rounded up or down at random, without bias.

    In a bucket of norm :math:`\|v\|_2` and with :math:`s = 2^n - 1`, :math:`s |v_i| / \|v\|` is rounded to one of
    the two adjacent integers, the nearer with the higher probability, so that :math:`E[\hat v_i] = v_i`. The head
    holds the norm of each bucket (float32) and a sign bit for each element. While bits are missing, a code above 0
    is decoded to the middle of the values that it may still take; only all layers together are unbiased. The bits
    in the arguments do not include the sign bit.

    Args:
        bucket_size: number of elements that share a norm, 1 to 10^9.

    Reference: Alistarh et al. 2017, "QSGD".
    """

    bucket_size: int = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.bucket_size <= MOST_IN_BUCKET, "bucket_size", self.bucket_size, f"1 to {MOST_IN_BUCKET}")

    def head_bytes(self, floating: Sequence[TensorSpec]) -> int:
        count = sum(spec.elements for spec in floating)
        return 4 * self._buckets(count) + plane_bytes(count)

    def quantise(
        self, x: np.ndarray, floating: Sequence[TensorSpec], draws: np.random.Generator
    ) -> Tuple[bytes, np.ndarray]:
        count, buckets = len(x), self._buckets(len(x))
        # A bucket is at most as long as the model.
        width = min(self.bucket_size, max(count, 1))
        padded = np.zeros(buckets * width)
        padded[:count] = np.abs(x)
        rows = padded.reshape(buckets, width)
        norms = np.minimum(np.sqrt(np.einsum("ij,ij->i", rows, rows)), np.finfo(np.float32).max).astype("<f4")
        scale = np.divide(2**self.total_bits - 1, norms, out=np.zeros(buckets), where=norms > 0, dtype=np.float64)
        rows *= scale[:, None]
        level = padded[:count]
        level += draws.random(count)
        np.minimum(level, 2**self.total_bits - 1, out=level)
        signs = pack(np.signbit(x).astype(np.uint8), 0, 0)
        return norms.tobytes() + signs, level.astype(self.code_dtype())

    def restore(self, head: bytes, codes: np.ndarray, missing: int, floating: Sequence[TensorSpec]) -> np.ndarray:
        count, buckets = len(codes), self._buckets(len(codes))
        norms = np.frombuffer(head, "<f4", count=buckets).astype(np.float64)
        negative = np.zeros(count, np.uint8)
        unpack_into(negative, head[4 * buckets :], 0, 0)
        level = codes.astype(np.float64)
        if missing:
            level[codes > 0] += (2**missing - 1) / 2
        level *= np.repeat(norms / (2**self.total_bits - 1), min(self.bucket_size, max(count, 1)))[:count]
        level = np.minimum(level, np.finfo(np.float32).max)
        return np.where(negative, -level, level).astype(np.float32)

    def _buckets(self, count: int) -> int:
        return -(-count // self.bucket_size)
