"""Sparsification: only the largest elements are sent."""

from dataclasses import dataclass
from typing import List, Sequence, Tuple

import numpy as np
import torch

from fl_simu.kernel.errors import require
from fl_simu.kernel.parameters import Params, Structure
from fl_simu.radio.codecs.base import Codec, flatten, lengths, unflatten
from fl_simu.radio.codecs.bitplanes import pack, plane_bytes, unpack_into

MOST_LAYERS = 100


@dataclass(frozen=True)
class TopK(Codec):
    """The elements of largest magnitude over the complete model, with their positions; all others become 0.

    It is meant for updates (payload "update"): a model with most weights set to 0 is useless. A layer holds k =
    ceil(fraction N) of the N elements as float32, and ceil(log2 N) bits for the position of each. It has no number
    of bits per parameter, so the size rule `notes` refuses it.

    Args:
        base_fraction: share of the elements in the base, above 0 and at most 1.
        enhancement_fractions: share that each enhancement adds, each above 0; at most 100 of them, together with
            the base at most 1.

    Reference: Aji and Heafield 2017, "Sparse Communication for Distributed Gradient Descent".
    """

    base_fraction: float = 0.01
    enhancement_fractions: Tuple[float, ...] = ()

    def __post_init__(self) -> None:
        require(0 < self.base_fraction <= 1, "base_fraction", self.base_fraction, "above 0 and at most 1")
        fractions = self.enhancement_fractions
        few = len(fractions) <= MOST_LAYERS
        require(few, "enhancement_fractions", fractions, f"at most {MOST_LAYERS} of them")
        require(all(0 < each <= 1 for each in fractions), "enhancement_fractions", fractions, "each above 0")
        within = self.base_fraction + sum(fractions) <= 1
        require(within, "enhancement_fractions", fractions, "together with base_fraction at most 1")

    def layer_bits(self, dtype: torch.dtype = torch.float32) -> Tuple[int, ...]:
        return ()

    def layer_bytes(self, structure: Structure) -> Tuple[int, ...]:
        count, exact = lengths(structure)
        sizes = [4 * k + _place_bits(count) * plane_bytes(k) for k in self._shares(count)]
        sizes[0] += exact
        return tuple(sizes)

    def encode(self, params: Params, draws: np.random.Generator) -> Tuple[bytes, ...]:
        x, exact = flatten(params)
        shares, size, layers = self._shares(len(x)), np.abs(x), []
        order = _largest(size, sum(shares))
        for k, end in zip(shares, np.cumsum(shares)):
            places = np.sort(order[end - k : end]).astype(np.uint32)
            bits = pack(places, _place_bits(len(x)) - 1, 0) if k else b""
            layers.append(x[places].astype("<f4").tobytes() + bits)
        return (exact + layers[0], *layers[1:])

    def decode(self, layers: Sequence[bytes], structure: Structure) -> Params:
        count, start = lengths(structure)
        x = np.zeros(count, np.float32)
        for layer, k in zip([layers[0][start:], *layers[1:]], self._shares(count)):
            places = np.zeros(k, np.uint32)
            if k:
                unpack_into(places, layer[4 * k :], _place_bits(count) - 1, 0)
            x[places] = np.frombuffer(layer, "<f4", count=k)
        return unflatten(x, layers[0], structure)

    def _shares(self, count: int) -> List[int]:
        """Number of elements of each layer."""
        left, shares = count, []
        for fraction in (self.base_fraction, *self.enhancement_fractions):
            shares.append(min(left, int(np.ceil(fraction * count))))
            left -= shares[-1]
        return shares


def _place_bits(count: int) -> int:
    """Bits of a position among `count`; at least 1."""
    return max(1, (count - 1).bit_length())


def _largest(size: np.ndarray, k: int) -> np.ndarray:
    """Positions of the k largest elements, largest first; in a tie the first in the model comes first."""
    if k == 0:
        return np.empty(0, np.int64)
    bar = np.partition(size, len(size) - k)[len(size) - k]
    above, level = np.flatnonzero(size > bar), np.flatnonzero(size == bar)
    chosen = np.concatenate([above, level[: k - len(above)]])
    return chosen[np.argsort(-size[chosen], kind="stable")]
