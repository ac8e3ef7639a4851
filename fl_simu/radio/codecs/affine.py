"""Uniform quantisation between a tensor's smallest and largest element, in layers of bits."""

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np

from fl_simu.kernel.parameters import TensorSpec
from fl_simu.radio.codecs.base import numpy_dtype, places
from fl_simu.radio.codecs.layered import Layered

RANGE_BYTES = 8


@dataclass(frozen=True)
class Affine(Layered):
    r"""The notes' affine quantiser, each tensor on its own scale.

    It is uniform between the smallest and the largest element. With n bits in all, a tensor x in [min, max] gets
    :math:`Q = (2^n - 1) / (max - min)`, :math:`R = round(Q\,min)` and the codes :math:`c = round(Q x) - R`; it is
    decoded as :math:`\hat x = (c + R) / Q`. The error is at most 1 / (2 Q), and 0 is decoded as 0. The head holds
    min and max (float32) of each tensor. While bits are missing, a code is decoded to the middle of the values
    that it may still take.

    A constant tensor (max = min) has no scale: its codes are 0 and it is decoded exactly.

    >>> import torch
    >>> from fl_simu.kernel.parameters import structure_of
    >>> codec, params = Affine(1, (1,)), {"w": torch.tensor([0.0, 1.0, 2.0, 3.0])}
    >>> layers = codec.encode(params, np.random.default_rng(0))
    >>> codec.decode(layers, structure_of(params))["w"].tolist()
    [0.0, 1.0, 2.0, 3.0]
    >>> codec.decode(layers[:1], structure_of(params))["w"].tolist()
    [0.5, 0.5, 2.5, 2.5]

    Reference: notes, graded upload; Jacob et al. 2018 for the rounded zero point R.
    """

    def head_bytes(self, floating: Sequence[TensorSpec]) -> int:
        return RANGE_BYTES * len(floating)

    def quantise(
        self, x: np.ndarray, floating: Sequence[TensorSpec], draws: np.random.Generator
    ) -> Tuple[bytes, np.ndarray]:
        ranges = np.zeros((len(floating), 2), dtype="<f4")
        codes = np.empty(len(x), dtype=self.code_dtype())
        for limits, place, spec in zip(ranges, places(floating), floating):
            if spec.elements:
                limits[:] = x[place].min(), x[place].max()
                self._fill(codes[place], x[place], limits)
        return ranges.tobytes(), codes

    def restore(self, head: bytes, codes: np.ndarray, missing: int, floating: Sequence[TensorSpec]) -> np.ndarray:
        dtypes = [numpy_dtype(spec).newbyteorder("=") for spec in floating]
        x = np.empty(len(codes), np.result_type(np.float32, *dtypes))
        for limits, place, dtype in zip(np.frombuffer(head, "<f4").reshape(-1, 2), places(floating), dtypes):
            # Half a step more than the largest float would be infinite.
            most = np.finfo(dtype).max
            levels = self._levels(limits, missing).clip(-most, most).astype(dtype).astype(x.dtype)
            levels.take(codes[place], out=x[place], mode="clip")
        return x

    def _scale(self, limits: np.ndarray) -> Tuple[float, float]:
        low, high = float(limits[0]), float(limits[1])
        q = (2.0**self.total_bits - 1) / (high - low) if high > low else 0.0
        return q, float(np.rint(q * low))

    def _fill(self, codes: np.ndarray, flat: np.ndarray, limits: np.ndarray) -> None:
        q, r = self._scale(limits)
        scaled = np.multiply(flat, q, dtype=np.float64)
        np.rint(scaled, out=scaled)
        scaled -= r
        np.clip(scaled, 0, 2**self.total_bits - 1, out=scaled)
        codes[:] = scaled

    def _levels(self, limits: np.ndarray, missing: int) -> np.ndarray:
        """The decoded value of each code, float64 of shape (2^n,), when its lowest `missing` bits are unknown."""
        q, r = self._scale(limits)
        codes = np.arange(2**self.total_bits, dtype=np.float64)
        if q == 0.0:
            return np.full_like(codes, float(limits[0]))
        codes += (2**missing - 1) / 2
        return (codes + r) / q
