"""The arguments of an operation as they are at a pointer's worker, and the operations that 0.2.4 gets wrong."""

from typing import Any, Dict

import torch

from fl_simu.pointers import quirks
from fl_simu.pointers.exceptions import TensorsNotCollocatedException
from fl_simu.pointers.kinds import BATCH_NORM, INDEX, RECURRENT
from fl_simu.pointers.wrappers import Wrapper, first_wrapper


def there(value: Any, pointer: Any) -> Any:
    """An argument as it is at the pointer's location.

    Raises:
        TensorsNotCollocatedException: it is a tensor elsewhere.
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
    """The same for recurrent layers, which make their first state here: it goes along."""
    if isinstance(value, torch.Tensor) and not isinstance(value, Wrapper):
        return value
    if type(value) in (tuple, list):
        return type(value)([there_or_taken_along(one, pointer) for one in value])
    return there(value, pointer)


def there_or_sent_along(value: Any, pointer: Any) -> Any:
    """The same for arguments by keyword, of which 0.2.4 sends along a copy of what is here: weights of classes."""
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
