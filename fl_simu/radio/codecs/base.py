"""The contract of a codec, floating-point tensors as one array, and the encoding of the other tensors."""

from abc import ABC, abstractmethod
from itertools import accumulate
from typing import ClassVar, Dict, List, Sequence, Tuple

import numpy as np
import torch

from fl_simu.kernel.parameters import Params, Structure, TensorSpec, from_arrays, structure_of, to_arrays

LITTLE_ENDIAN: Dict[torch.dtype, np.dtype] = {
    torch.float64: np.dtype("<f8"),
    torch.float32: np.dtype("<f4"),
    torch.float16: np.dtype("<f2"),
    torch.int64: np.dtype("<i8"),
    torch.int32: np.dtype("<i4"),
    torch.int16: np.dtype("<i2"),
    torch.int8: np.dtype("i1"),
    torch.uint8: np.dtype("u1"),
    torch.bool: np.dtype("?"),
}
EXACT = tuple(dtype for dtype in LITTLE_ENDIAN if not dtype.is_floating_point)


def _halves() -> Tuple[torch.dtype, ...]:
    """float16 if torch can compute with it; torch 1.4 cannot on a CPU."""
    try:
        torch.zeros(1, dtype=torch.float16).sum()
    except RuntimeError:
        return ()
    return (torch.float16,)


HALVES = _halves()


class Codec(ABC):
    """How params are encoded as layers of bytes, and decoded.

    The first layer is the base; each further layer is an enhancement, which refines the layers before it. Any
    prefix of at least one layer can be decoded. The length of each layer depends only on the structure of the
    params, never on their values, so that the delay of an upload is known before the BS fetches the model. Layers
    are packed bytes, sent one after the other.

    Integer and boolean tensors of a model are sent exactly, in the base. The codecs are made for 32-bit numbers;
    16-bit numbers (modern stack) can be sent too, 64-bit numbers only with `float32`. A model with any other
    tensor is refused before training.

    Class attributes:
        floats: the floating-point dtypes that it carries with its stated precision. All codecs carry the dtypes in
            EXACT.
    """

    floats: ClassVar[Tuple[torch.dtype, ...]] = (torch.float32, *HALVES)

    @abstractmethod
    def layer_bits(self, dtype: torch.dtype = torch.float32) -> Tuple[int, ...]:
        """Bits of each layer for one floating-point parameter, base first; empty if there is no such number."""

    @abstractmethod
    def layer_bytes(self, structure: Structure) -> Tuple[int, ...]:
        """Length in bytes of each layer for params of this structure, base first."""

    @abstractmethod
    def encode(self, params: Params, draws: np.random.Generator) -> Tuple[bytes, ...]:
        """The layers, base first.

        Args:
            params: what to encode; every floating-point number must be finite.
            draws: random generator keyed to this upload, for codecs that round at random; do not keep it.
        """

    @abstractmethod
    def decode(self, layers: Sequence[bytes], structure: Structure) -> Params:
        """The params decoded from these layers, a prefix of the layers from `encode`."""


def numpy_dtype(spec: TensorSpec) -> np.dtype:
    """The little-endian numpy dtype of a tensor."""
    return LITTLE_ENDIAN[spec.dtype]


def split(structure: Structure) -> Tuple[List[TensorSpec], List[TensorSpec]]:
    """The floating-point tensors, which a codec may approximate, and the others, which it sends exactly."""
    floating = [spec for spec in structure if spec.dtype.is_floating_point]
    return floating, [spec for spec in structure if not spec.dtype.is_floating_point]


def raw_bytes(params: Params, specs: Sequence[TensorSpec]) -> bytes:
    """The tensors as they are in memory, little-endian, one after the other."""
    arrays = to_arrays({spec.name: params[spec.name] for spec in specs})
    return b"".join(arrays[spec.name].astype(numpy_dtype(spec), copy=False).data for spec in specs)


def raw_length(specs: Sequence[TensorSpec]) -> int:
    """Length of the result of `raw_bytes`."""
    return sum(spec.elements * numpy_dtype(spec).itemsize for spec in specs)


def read_raw(data: bytes, specs: Sequence[TensorSpec]) -> Params:
    """The inverse of `raw_bytes`."""
    arrays, offset = {}, 0
    for spec in specs:
        dtype = numpy_dtype(spec)
        flat = np.frombuffer(data, dtype, count=spec.elements, offset=offset)
        arrays[spec.name] = flat.astype(dtype.newbyteorder("="), copy=False).reshape(spec.shape)
        offset += spec.elements * dtype.itemsize
    return from_arrays(arrays)


def lengths(structure: Structure) -> Tuple[int, int]:
    """Number of floating-point elements, and length in bytes of the other tensors."""
    floating, exact = split(structure)
    return sum(spec.elements for spec in floating), raw_length(exact)


def flatten(params: Params) -> Tuple[np.ndarray, bytes]:
    """The floating-point tensors as one array, shape (elements,), and the others as bytes.

    The array has the widest dtype of its tensors, at least float32.
    """
    floating, exact = split(structure_of(params))
    arrays = to_arrays({spec.name: params[spec.name] for spec in floating})
    flats = [arrays[spec.name].reshape(-1) for spec in floating]
    return np.concatenate([np.empty(0, np.float32), *flats]), raw_bytes(params, exact)


def unflatten(flat: np.ndarray, base: bytes, structure: Structure) -> Params:
    """The inverse of `flatten`; `base` may continue after the bytes of the other tensors.

    Numbers that rounding has put beyond the largest number of a tensor's dtype become that number.
    """
    floating, exact = split(structure)
    arrays = {}
    for spec, place in zip(floating, places(floating)):
        dtype, values = numpy_dtype(spec).newbyteorder("="), flat[place]
        if dtype.itemsize < values.itemsize:
            values = values.clip(-np.finfo(dtype).max, np.finfo(dtype).max)
        arrays[spec.name] = values.astype(dtype, copy=False).reshape(spec.shape)
    params = {**from_arrays(arrays), **read_raw(base, exact)}
    return {spec.name: params[spec.name] for spec in structure}


def places(floating: Sequence[TensorSpec]) -> List[slice]:
    """The position of each tensor in the array of `flatten`."""
    ends = accumulate(spec.elements for spec in floating)
    return [slice(end - spec.elements, end) for spec, end in zip(floating, ends)]
