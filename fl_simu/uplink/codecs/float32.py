"""No quantisation: every tensor as it is, in one layer."""

from dataclasses import dataclass
from typing import Sequence, Tuple

import numpy as np

from fl_simu.kernel.parameters import Params, Structure, structure_of
from fl_simu.uplink.codecs.base import Codec, raw_bytes, raw_length, read_raw


@dataclass(frozen=True)
class Float32(Codec):
    """Full precision: 32 bits a parameter, exact."""

    def layer_bits(self) -> Tuple[int, ...]:
        return (32,)

    def layer_bytes(self, structure: Structure) -> Tuple[int, ...]:
        return (raw_length(structure),)

    def encode(self, params: Params, draws: np.random.Generator) -> Tuple[bytes, ...]:
        return (raw_bytes(params, structure_of(params)),)

    def decode(self, layers: Sequence[bytes], structure: Structure) -> Params:
        return read_raw(layers[0], structure)
