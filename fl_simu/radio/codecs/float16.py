"""Half precision, and the remainder."""

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np
import torch

from fl_simu.kernel.parameters import Params, Structure
from fl_simu.radio.codecs.base import Codec, flatten, lengths, unflatten

MOST = 65504.0


@dataclass(frozen=True)
class Float16(Codec):
    """The float16 of each element as the base, and the float16 of the remainder as the enhancement.

    The base keeps 11 significant bits; both together keep at least 21, down to the smallest float16, 6e-8. Beyond
    +-65504, the largest float16, a layer saturates at that number, so both together reach +-131008.

    Args:
        remainder: whether there is an enhancement.

    Reference: notes, half precision.
    """

    remainder: bool = True

    def layer_bits(self, dtype: torch.dtype = torch.float32) -> Tuple[int, ...]:
        return (16, 16) if self.remainder else (16,)

    def layer_bytes(self, structure: Structure) -> Tuple[int, ...]:
        count, exact = lengths(structure)
        return (exact + 2 * count, 2 * count) if self.remainder else (exact + 2 * count,)

    def encode(self, params: Params, draws: np.random.Generator) -> Tuple[bytes, ...]:
        x, exact = flatten(params)
        base = _half(x)
        front = exact + base.tobytes()
        if not self.remainder:
            return (front,)
        return front, _half(x - base.astype(np.float32)).tobytes()

    def decode(self, layers: Sequence[bytes], structure: Structure) -> Params:
        _, start = lengths(structure)
        x = np.frombuffer(layers[0], "<f2", offset=start).astype(np.float32)
        for layer in layers[1:]:
            x += np.frombuffer(layer, "<f2").astype(np.float32)
        return unflatten(x, layers[0], structure)


def _half(x: np.ndarray) -> np.ndarray:
    """The nearest float16, at most the largest one. torch has an instruction for it; numpy does not."""
    return torch.from_numpy(x.clip(-MOST, MOST)).to(torch.float16).numpy().astype("<f2", copy=False)
