"""A codec: one bit per element, its sign, and the mean magnitude of each tensor."""

from dataclasses import dataclass

import numpy as np

from fl_simu.kernel.parameters import from_arrays, structure_of
from fl_simu.radio.codecs.base import Codec, numpy_dtype, raw_bytes, raw_length, read_raw, split


@dataclass(frozen=True)
class Signs(Codec):
    """signSGD with a scale (Bernstein et al. 2018): sign(x) mean|x| for each tensor."""

    def layer_bits(self, dtype=None):
        return (1,)

    def layer_bytes(self, structure):
        floating, exact = split(structure)
        return (raw_length(exact) + sum(4 + (spec.elements + 7) // 8 for spec in floating),)

    def encode(self, params, draws):
        floating, exact = split(structure_of(params))
        data = raw_bytes(params, exact)
        for spec in floating:
            flat = params[spec.name].reshape(-1).numpy()
            size = np.abs(flat).mean(dtype=np.float64) if flat.size else 0.0
            data += np.float32(size).tobytes() + np.packbits(flat >= 0).tobytes()
        return (data,)

    def decode(self, layers, structure):
        floating, exact = split(structure)
        found, at = read_raw(layers[0], exact), raw_length(exact)
        for spec in floating:
            scale = np.frombuffer(layers[0], np.float32, 1, at)[0]
            bits = np.unpackbits(np.frombuffer(layers[0], np.uint8, (spec.elements + 7) // 8, at + 4))
            flat = np.where(bits[: spec.elements] == 1, scale, -scale).astype(numpy_dtype(spec))
            found.update(from_arrays({spec.name: flat.reshape(spec.shape)}))
            at += 4 + (spec.elements + 7) // 8
        return {spec.name: found[spec.name] for spec in structure}
