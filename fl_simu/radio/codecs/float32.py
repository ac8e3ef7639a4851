"""No quantisation: every tensor unchanged, in one layer."""

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np
import torch

from fl_simu.kernel.parameters import Params, Structure, structure_of
from fl_simu.radio.codecs.base import HALVES, LITTLE_ENDIAN, Codec, raw_bytes, raw_length, read_raw


@dataclass(frozen=True)
class Float32(Codec):
    """Full precision: 32 bits per parameter, exact; a tensor of another width keeps its own.

    Every tensor is sent unchanged, in one layer.
    """

    floats = (torch.float64, torch.float32, *HALVES)

    def layer_bits(self, dtype: torch.dtype = torch.float32) -> Tuple[int, ...]:
        return (8 * LITTLE_ENDIAN[dtype].itemsize,)

    def layer_bytes(self, structure: Structure) -> Tuple[int, ...]:
        return (raw_length(structure),)

    def encode(self, params: Params, draws: np.random.Generator) -> Tuple[bytes, ...]:
        return (raw_bytes(params, structure_of(params)),)

    def decode(self, layers: Sequence[bytes], structure: Structure) -> Params:
        return read_raw(layers[0], structure)
