"""Helpers for the cases: printed forms without ids, values of pointers, equality."""

import gc
import re

import torch


def printed(value):
    """The text that print shows, with # for each id."""
    return re.sub(r"(?<=[:{ ])\d{5,}(?=[\]: ])", "#", str(value))


def count(worker):
    """Number of objects at a worker after garbage collection."""
    gc.collect()
    return len(worker._objects)


def fetch(value):
    """The value behind a pointer, removed from the worker unless another tensor owns it; a tuple for several."""
    if isinstance(value, (tuple, list)):
        return tuple(map(fetch, value))
    return (value if value.child.point_to_attr is None else value.copy()).get()


def same(found, expected):
    """Equal in type, shape and values; floats to a few units in the last place."""
    if isinstance(expected, (tuple, list)):
        return len(found) == len(expected) and all(map(same, found, expected))
    if not isinstance(expected, torch.Tensor):
        return found == expected
    if (found.dtype, tuple(found.shape)) != (expected.dtype, tuple(expected.shape)):
        return False
    if not expected.dtype.is_floating_point:
        return bool((found == expected).all())
    return torch.allclose(found, expected, rtol=1e-6, atol=1e-7, equal_nan=True)
