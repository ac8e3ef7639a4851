"""Half precision, and what it leaves over."""

from dataclasses import dataclass
from typing import Dict, Sequence, Tuple

import numpy as np
import torch

from fl_simu.kernel.parameters import Params, Structure, from_arrays, structure_of, to_arrays
from fl_simu.uplink.codecs.base import Codec, in_order, numpy_dtype, raw_bytes, raw_length, read_raw, split

MOST = 65504.0


@dataclass(frozen=True)
class Float16(Codec):
    """The float16 of each element as the base, and the float16 of what is left over as the enhancement.

    The base keeps 11 significant bits; both together at least 21, down to the smallest float16, 6e-8. Beyond
    +-65504, the largest float16, a layer holds that number, so both together reach +-131008.

    Args:
        remainder: whether there is an enhancement.

    Reference: notes, half precision.
    """

    remainder: bool = True

    def layer_bits(self) -> Tuple[int, ...]:
        return (16, 16) if self.remainder else (16,)

    def layer_bytes(self, structure: Structure) -> Tuple[int, ...]:
        floating, exact = split(structure)
        half = 2 * sum(spec.elements for spec in floating)
        return (raw_length(exact) + half, half) if self.remainder else (raw_length(exact) + half,)

    def encode(self, params: Params, draws: np.random.Generator) -> Tuple[bytes, ...]:
        floating, exact = split(structure_of(params))
        arrays = to_arrays({spec.name: params[spec.name] for spec in floating})
        x = np.concatenate([np.empty(0, np.float32), *(arrays[spec.name].reshape(-1) for spec in floating)])
        base = _half(x)
        front = raw_bytes(params, exact) + base.tobytes()
        if not self.remainder:
            return (front,)
        return front, _half(x - base.astype(np.float32)).tobytes()

    def decode(self, layers: Sequence[bytes], structure: Structure) -> Params:
        floating, exact = split(structure)
        x = np.frombuffer(layers[0], "<f2", offset=raw_length(exact)).astype(np.float32)
        for layer in layers[1:]:
            x += np.frombuffer(layer, "<f2").astype(np.float32)
        arrays: Dict[str, np.ndarray] = {}
        start = 0
        for spec in floating:
            part = x[start : start + spec.elements].astype(numpy_dtype(spec).newbyteorder("="))
            arrays[spec.name] = part.reshape(spec.shape)
            start += spec.elements
        return in_order({**from_arrays(arrays), **read_raw(layers[0], exact)}, structure)


def _half(x: np.ndarray) -> np.ndarray:
    """The nearest float16, at most the largest one. By torch, which has an instruction for it; numpy has none."""
    return torch.from_numpy(x.clip(-MOST, MOST)).to(torch.float16).numpy().astype("<f2", copy=False)
