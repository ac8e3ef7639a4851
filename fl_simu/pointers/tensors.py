"""The members of `TensorMethods` without a leading underscore, which a TorchHook adds to plain tensors."""

import weakref
from typing import Any, Optional

from torch import nn

from fl_simu.pointers.ids import label_of
from fl_simu.pointers.local import local_worker
from fl_simu.pointers.multi import MultiPointerTensor, combine_pointers
from fl_simu.pointers.pointers import PointerTensor
from fl_simu.pointers.travel import copied
from fl_simu.pointers.wrappers import ParameterWrapper, Wrapper, become_pointer, held, wrapped


class TensorMethods:
    """A plain tensor's side of PySyft's API. The side of pointers is `Wrapper`."""

    is_wrapper = False
    location = None

    @property
    def id(self) -> Any:
        return label_of(self).id

    @id.setter
    def id(self, new: Any) -> None:
        label_of(self).id = new

    @property
    def owner(self) -> Any:
        return label_of(self).owner or local_worker()

    @owner.setter
    def owner(self, new: Any) -> None:
        label_of(self).owner = new

    @property
    def tags(self) -> Any:
        return label_of(self).tags

    @tags.setter
    def tags(self, new: Any) -> None:
        label_of(self).tags = None if new is None else set(new)

    @property
    def description(self) -> Optional[str]:
        return label_of(self).description

    @description.setter
    def description(self, new: Optional[str]) -> None:
        label_of(self).description = new

    def tag(self, *tags: str) -> Any:
        """Give the tensor tags, which travel with it."""
        label = label_of(self)
        label.tags = {*(label.tags or ()), *tags}
        owner = self.owner
        if label.id not in owner._objects:
            owner.register_obj(self)
        for tag in tags:
            owner._tag_to_object_ids[tag].add(label.id)
        return self

    def describe(self, description: str) -> Any:
        label_of(self).description = description
        return self

    def has_child(self) -> bool:
        return False

    def send(
        self,
        *location: Any,
        inplace: bool = False,
        no_wrap: bool = False,
        garbage_collect_data: bool = True,
        **_: Any,
    ) -> Any:
        """Send a copy to a worker; returns a pointer to it, or one multi-pointer for several workers.

        Args:
            location: the workers, or their ids.
            inplace: turn this tensor into the pointer, and drop its values.
            no_wrap: return the bare PointerTensor.
            garbage_collect_data: whether the worker deletes the copy when the pointer is deleted.
        """
        if len(location) > 1:
            children = [_placed(copied(self), self.owner.get_worker(worker)) for worker in location]
            multi = MultiPointerTensor(children=children)
            return multi if no_wrap else wrapped(multi)
        (place,) = location
        if inplace:
            return _gone(self, self.owner.get_worker(place), garbage_collect_data)
        pointer = _placed(self, self.owner.get_worker(place), garbage_collect_data)
        if no_wrap:
            return pointer
        wrapper = wrapped(pointer)
        if isinstance(self, nn.Parameter):
            wrapper.__class__ = ParameterWrapper
        return held(wrapper)

    def send_(self, *location: Any, **options: Any) -> Any:
        if len(location) > 1:
            raise NotImplementedError("Inplace send to several workers is currently not supported.")
        return self.send(*location, inplace=True, **options)

    def get(self, *_: Any, **__: Any) -> Any:
        raise AttributeError(f"'{type(self).__name__}' object has no attribute 'child'")

    get_ = move = remote_get = remote_send = get

    def combine(self, *pointers: Any) -> Any:
        """Combine this pointer, as the last one, with others into one multi-pointer."""
        if not isinstance(self, Wrapper):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute 'child'")
        return combine_pointers(*pointers, self)

    def copy(self) -> Any:
        return self + 0  # type: ignore[operator]

    def create_pointer(self, location: Any = None, owner: Any = None, **options: Any) -> PointerTensor:
        """A pointer to this tensor at its current location."""
        label, here = label_of(self), self.owner
        place = location or here
        named = {"tags": label.tags, "description": label.description, "shape": self.shape}  # type: ignore
        return PointerTensor(place, label.id, owner or here, **{**named, **options})


def _placed(tensor: Any, worker: Any, garbage_collect_data: bool = True) -> PointerTensor:
    """Place a copy of a tensor at a worker, under the tensor's own id, and point to it."""
    label = label_of(tensor)
    worker.keep(copied(tensor), label.id)
    last = label.pointer()
    if last is not None:
        # Sent a second time: only the newer pointer deletes the tensor.
        last.garbage_collect_data = False
    pointer = tensor.create_pointer(worker, garbage_collect_data=garbage_collect_data)
    label.pointer = weakref.ref(pointer)
    return pointer


def _gone(tensor: Any, worker: Any, garbage_collect_data: bool) -> Any:
    """Make a tensor a pointer in place. Its values are copied, in case they are in use; its gradient is moved."""
    gradient = tensor.grad if tensor.is_leaf else None
    if gradient is not None:
        tensor.grad = None
    pointer = _placed(tensor, worker, garbage_collect_data)
    pointer.target().grad = gradient
    become_pointer(tensor, pointer)
    return tensor
