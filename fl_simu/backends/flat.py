"""Named tensors in the form in which they travel between processes: one contiguous array per dtype."""

from typing import Dict, List, NamedTuple

import numpy as np
import torch

from fl_simu.kernel.parameters import Params, Structure, from_arrays, structure_of, to_arrays


class Flat(NamedTuple):
    """Named tensors as one contiguous array per dtype, in the order of their structure."""

    structure: Structure
    arrays: Dict[torch.dtype, np.ndarray]

    def copy(self) -> "Flat":
        """A copy that owns its memory."""
        return Flat(self.structure, {dtype: array.copy() for dtype, array in self.arrays.items()})


def pack(params: Params) -> Flat:
    """Pack named tensors into one array per dtype."""
    parts: Dict[torch.dtype, List[np.ndarray]] = {}
    for name, array in to_arrays(params).items():
        parts.setdefault(params[name].dtype, []).append(array.reshape(-1))
    return Flat(structure_of(params), {dtype: np.concatenate(arrays) for dtype, arrays in parts.items()})


def unpack(flat: Flat) -> Params:
    """The inverse of `pack`: tensors that own their memory.

    >>> unpack(pack({"w": torch.ones(2, 1), "n": torch.tensor(3)}))["n"]
    tensor(3)
    """
    views, starts = {}, dict.fromkeys(flat.arrays, 0)
    for spec in flat.structure:
        start = starts[spec.dtype]
        starts[spec.dtype] = start + spec.elements
        views[spec.name] = flat.arrays[spec.dtype][start : start + spec.elements].reshape(spec.shape)
    return from_arrays(views)
