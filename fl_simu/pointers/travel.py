"""What a worker receives when an object is sent, fetched or moved to it."""

import copy as copying
from typing import Any

from torch import nn

from fl_simu.pointers.ids import label_of
from fl_simu.pointers.wrappers import Wrapper, like


def brought(found: Any, owner: Any) -> Any:
    """What a worker receives of an object that leaves another: a copy of a tensor, or the pointer itself.

    A parameter is passed on without a copy: nothing else at the worker shares its memory.
    """
    if isinstance(found, nn.Parameter) and not isinstance(found, Wrapper):
        label_of(found).owner = owner
        return found
    if not isinstance(found, Wrapper):
        arrived = copied(found)
        label_of(arrived).owner = owner
        return arrived
    pointer = found.child
    collect, pointer.garbage_collect_data = pointer.garbage_collect_data, False
    if pointer.location is owner:
        return owner.get_obj(pointer.id_at_location)
    return like(found, pointer.of(owner, collect))


def copied(tensor: Any) -> Any:
    """A tensor as if it came from a message: a separate leaf with gradient, tags and description."""
    new = tensor.detach().clone()
    if isinstance(tensor, nn.Parameter):
        new = nn.Parameter(new, tensor.requires_grad)
    elif tensor.requires_grad:
        new.requires_grad_()
    if tensor.is_leaf and tensor.grad is not None:
        new.grad = copied(tensor.grad)
    label, old = label_of(new), label_of(tensor)
    label.id, label.description = old.id, old.description
    label.tags = copying.copy(old.tags)
    return new
