"""The arguments of an operation as the pointer's worker sees them, and the operations that 0.2.4 gets wrong."""

from typing import Any, Dict

import torch

from fl_simu.pointers import quirks
from fl_simu.pointers.exceptions import TensorsNotCollocatedException
from fl_simu.pointers.kinds import BATCH_NORM, INDEX, RECURRENT
from fl_simu.pointers.wrappers import Wrapper, first_wrapper


def there(value: Any, pointer: Any) -> Any:
    """An argument as the pointer's worker sees it: a pointer becomes the tensor that it points to.

    Raises:
        TensorsNotCollocatedException: the argument is a tensor in another place.
    """
    if isinstance(value, Wrapper):
        child = value.child
        if child.location is not pointer.location and child.location.id != pointer.location.id:
            raise TensorsNotCollocatedException(pointer, child)
        return child.target()
    if isinstance(value, torch.Tensor):
        raise TensorsNotCollocatedException(pointer, value)
    if type(value) in (tuple, list):
        return type(value)([there(one, pointer) for one in value])
    return value


def there_or_taken_along(value: Any, pointer: Any) -> Any:
    """Like `there`, but local tensors are passed along: recurrent layers create their first state locally."""
    if isinstance(value, torch.Tensor) and not isinstance(value, Wrapper):
        return value
    if type(value) in (tuple, list):
        return type(value)([there_or_taken_along(one, pointer) for one in value])
    return there(value, pointer)


def there_or_sent_along(value: Any, pointer: Any) -> Any:
    """Like `there`, but for keyword arguments: 0.2.4 sends a copy of local tensors, such as class weights."""
    if isinstance(value, torch.Tensor) and not isinstance(value, Wrapper):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if type(value) in (tuple, list):
        return type(value)([there_or_sent_along(one, pointer) for one in value])
    return there(value, pointer)


def _skipped_batch_norm(pointer: Any, args: Any, kwargs: Dict[str, Any]) -> Any:
    return args[0] if quirks.is_strict("batch_norm") else None


def _no_recurrence(pointer: Any, args: Any, kwargs: Dict[str, Any]) -> None:
    if quirks.is_strict("recurrent"):
        raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got 1)")


def _no_mask(pointer: Any, args: Any, kwargs: Dict[str, Any]) -> None:
    mask = first_wrapper((args[1],), required=False)
    if mask is not None and mask.dtype in (torch.bool, torch.uint8) and quirks.is_strict("mask"):
        raise IndexError("shape mismatch: indexing tensors could not be broadcast together")


SPECIAL = {BATCH_NORM: _skipped_batch_norm, RECURRENT: _no_recurrence, INDEX: _no_mask}
