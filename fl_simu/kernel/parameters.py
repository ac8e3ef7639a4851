"""Params: one model's tensors as an ordered mapping from name to tensor, buffers included."""

import hashlib
import json
import math
from functools import reduce
from operator import mul
from typing import Dict, NamedTuple, Tuple

import numpy as np
import torch
from torch import Tensor, nn

Params = Dict[str, Tensor]


class TensorSpec(NamedTuple):
    """Name, shape and dtype of one tensor: all that a codec may know before it sees the numbers."""

    name: str
    shape: Tuple[int, ...]
    dtype: torch.dtype

    @property
    def elements(self) -> int:
        """Number of elements; 1 for a 0-dim tensor, 0 for an empty one."""
        return reduce(mul, self.shape, 1)


Structure = Tuple[TensorSpec, ...]


def params_of(module: nn.Module) -> Params:
    """A contiguous copy of a module's parameters and buffers, in the order of its state_dict."""
    return {name: tensor.detach().clone().contiguous() for name, tensor in module.state_dict().items()}


def structure_of(params: Params) -> Structure:
    """Names, shapes and dtypes of the params, in order."""
    return tuple(TensorSpec(name, tuple(tensor.shape), tensor.dtype) for name, tensor in params.items())


def require_alike(params: Params, wanted: Params, what: str) -> None:
    """Raise ValueError unless the params are finite and have the wanted names, shapes and dtypes."""
    missing = [name for name in wanted if name not in params]
    unknown = [name for name in params if name not in wanted]
    if missing or unknown:
        lacks = f"lacks {missing[0]}" if missing else f"has {unknown[0]}"
        raise ValueError(f"{what} {lacks[:100]}")
    for name, tensor in wanted.items():
        if (params[name].shape, params[name].dtype) != (tensor.shape, tensor.dtype):
            raise ValueError(f"{name} of {what} has another shape or type")
    if not all_finite(params):
        raise ValueError(f"{what} is not finite")


def difference(params: Params, reference: Params) -> Params:
    """params - reference, tensor by tensor; exclusive or for booleans."""
    return {name: _less(tensor, reference[name]) for name, tensor in params.items()}


def _less(one: Tensor, other: Tensor) -> Tensor:
    return one ^ other if one.dtype is torch.bool else one - other


def total(params: Params, reference: Params) -> Params:
    """reference + params, tensor by tensor: the inverse of `difference` up to rounding."""
    return {
        name: reference[name] ^ tensor if tensor.dtype is torch.bool else reference[name] + tensor
        for name, tensor in params.items()
    }


def all_finite(params: Params) -> bool:
    """Whether no element is NaN or infinite.

    A finite sum proves that all elements are finite, and is fast. Only an infinite or NaN sum needs a full check.
    """
    return all(
        math.isfinite(tensor.sum().item()) or bool(torch.isfinite(tensor).all()) for tensor in params.values()
    )


def floating_of(params: Params) -> Params:
    """The floating-point tensors, without counters and the like."""
    return {name: tensor for name, tensor in params.items() if tensor.dtype.is_floating_point}


def zeros_of(params: Params) -> Params:
    """Zeros in the shapes and dtypes of the floating-point tensors."""
    return {name: torch.zeros_like(tensor) for name, tensor in floating_of(params).items()}


def largest_difference(one: Params, other: Params) -> float:
    """The largest absolute difference of corresponding elements, in float64."""
    gaps = [(one[name].double() - other[name].double()).abs().max().item() for name in one if one[name].numel()]
    return max(gaps, default=0.0)


def largest_spread(one: Params, other: Params) -> float:
    """The largest range (maximum minus minimum) of the differences within any floating-point tensor."""
    gaps = [one[name] - other[name] for name in one if one[name].numel() and one[name].dtype.is_floating_point]
    return max((float(gap.max() - gap.min()) for gap in gaps), default=0.0)


def distance(one: Params, other: Params) -> float:
    """Euclidean distance over all floating-point tensors together, summed in float64.

    >>> distance({"w": torch.tensor([3.0, 0.0])}, {"w": torch.zeros(2)})
    3.0
    """
    gaps = (tensor.double() - other[name].double() for name, tensor in floating_of(one).items())
    return math.sqrt(sum(gap.pow(2).sum().item() for gap in gaps))


def to_arrays(params: Params) -> Dict[str, np.ndarray]:
    """The same tensors as contiguous numpy arrays, sharing memory where possible."""
    return {
        name: np.ascontiguousarray(tensor.detach().cpu().numpy()).reshape(tuple(tensor.shape))
        for name, tensor in params.items()
    }


def from_arrays(arrays: Dict[str, np.ndarray]) -> Params:
    """Tensors that own their memory, of the same shapes and dtypes as the arrays."""
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def sha256(params: Params) -> str:
    """Digest of names, shapes, dtypes and raw little-endian bytes, sorted by name: equal models, equal digests."""
    digest = hashlib.sha256()
    for name, array in sorted(to_arrays(params).items()):
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        head = json.dumps([name, list(array.shape), little.dtype.str])
        digest.update(head.encode() + b"\n")
        digest.update(little.tobytes())
    return digest.hexdigest()
