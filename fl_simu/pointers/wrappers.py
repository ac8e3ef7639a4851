"""Wrappers: the tensors that a script sees where it has pointers.

All operations of torch on a `Wrapper` go through `__torch_function__` to its `child`: a `PointerTensor`, or a
`MultiPointerTensor` that holds several of them.
"""

from typing import Any, Callable, Iterable, Optional

import torch
from torch import nn

from fl_simu.pointers import quirks
from fl_simu.pointers.exceptions import InvalidTensorForRemoteGet

NO_ITEM = (
    'Error, Please consider calling ".get" method instead of ".item" method, '
    "so you can be safely getting the item you need."
)


class Wrapper(torch.Tensor):
    """A tensor that represents one at a worker; `child` is the PointerTensor, or a MultiPointerTensor."""

    HOME: Any = torch.Tensor
    child: Any

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return first_wrapper((*args, *kwargs.values())).child.run(func, args, kwargs)

    is_wrapper = True
    location = property(lambda self: self.child.location)
    id_at_location = property(lambda self: self.child.id_at_location)
    owner = property(lambda self: self.child.owner)
    id = property(lambda self: self.child.id)
    tags = property(lambda self: self.child.tags)
    description = property(lambda self: self.child.description)
    shape = property(lambda self: self.child.shape)  # type: ignore[assignment]

    @property  # type: ignore[override]
    def data(self) -> Any:
        return wrapped(self.child.attr("data"))

    @data.setter
    def data(self, value: Any) -> None:
        self.child.assign("data", value)

    @property  # type: ignore[override]
    def grad(self) -> Any:
        return self.child.grad

    @grad.setter
    def grad(self, value: Any) -> None:
        self.child.assign("grad", value)

    @property
    def garbage_collection(self) -> bool:
        return self.child.garbage_collect_data

    @garbage_collection.setter
    def garbage_collection(self, flag: bool) -> None:
        self.child.garbage_collect_data = flag

    gc = garbage_collection

    @property
    def disable_gc(self) -> "Wrapper":
        self.child.garbage_collect_data = False
        return self

    def has_child(self) -> bool:
        return True

    def __str__(self) -> str:
        return f"(Wrapper)>{self.child}"

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return str(self)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec) if not spec else self.item()

    def __iter__(self) -> Any:
        return iter(self.unbind(0))

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("a pointer has no deep copy: call .copy() for a copy at the worker, or .get() first")

    def __reduce_ex__(self, protocol: Any) -> Any:
        if getattr(self.child, "saved_by_value", False):
            values = torch.empty(0) if quirks.is_strict("saved_memory") else self.child.target()
            return values.__reduce_ex__(protocol)
        raise TypeError("a pointer cannot be saved: the values are at the worker; call .get() first")

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise AttributeError("a pointer has no numpy(): the values are at the worker; call .get() first")

    __array__ = numpy

    def item(self) -> Any:
        raise RuntimeError(NO_ITEM)

    def size(self, dim: Optional[int] = None) -> Any:  # type: ignore[override]
        if quirks.is_strict("size"):
            empty = torch.empty(0)
            return empty.size() if dim is None else empty.size(dim)
        return self.child.shape if dim is None else self.child.shape[dim]

    def clone(self, *args: Any, **kwargs: Any) -> "Wrapper":  # type: ignore[override]
        """A second pointer to the same tensor, as in 0.2.4; `copy` makes a second tensor."""
        if self.child.point_to_attr is None or quirks.is_strict("attribute_clone"):
            return like(self, self.child.twin())
        return self.copy()

    def set_(self, *source: Any) -> "Wrapper":  # type: ignore[override]
        """Defined here because torch does not dispatch it."""
        if not quirks.is_strict("set"):
            self.child.run(torch.Tensor.set_, (self, *source), {})
        return self

    def copy(self) -> "Wrapper":
        return torch.clone(self)  # type: ignore[return-value]

    def attr(self, name: str) -> "Wrapper":
        return wrapped(self.child.attr(name))

    def wrap(self, **_: Any) -> "Wrapper":
        return self

    def tag(self, *tags: str) -> "Wrapper":
        self.child.tags = {*(self.child.tags or ()), *tags}
        for tag in tags:
            self.child.owner._tag_to_object_ids[tag].add(self.child.id)
        return self

    def describe(self, description: str) -> "Wrapper":
        self.child.description = description
        return self

    def send(self, *location: Any, inplace: bool = False, no_wrap: bool = False, **_: Any) -> Any:
        """Send the pointer itself; returns a pointer to a pointer."""
        (place,) = location
        pointer = self.child.sent(self, self.child.owner.get_worker(place))
        if inplace:
            self.child = pointer
            return self
        return pointer if no_wrap else held(like(self, pointer))

    def send_(self, *location: Any, **options: Any) -> "Wrapper":
        return self.send(*location, inplace=True, **options)

    def get(self, *args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        """Fetch the tensor from its worker and return it; this wrapper then points nowhere."""
        fetched = self.child.get(*args, **kwargs)
        if inplace and isinstance(fetched, Wrapper):
            self.child = fetched.child
        elif inplace:
            come_home(self, fetched)
        else:
            del self.child
            self.__class__ = self.HOME
        return self if inplace else fetched

    def get_(self, *args: Any, **kwargs: Any) -> "Wrapper":
        return self.get(*args, inplace=True, **kwargs)

    def move(self, location: Any) -> "Wrapper":
        self.child.move(self.child.owner.get_worker(location))
        return self

    def remote_get(self) -> "Wrapper":
        """Let the worker fetch the tensor that its pointer points to."""
        pointer = self.child.target()
        if not isinstance(pointer, Wrapper):
            raise InvalidTensorForRemoteGet(pointer)
        self.location.keep(pointer.get(), self.id_at_location)
        return self

    mid_get = remote_get

    def remote_send(self, location: Any) -> "Wrapper":
        """Let the worker send the tensor on; the worker keeps a pointer."""
        pointer = self.child.target().send(location, no_wrap=True)
        self.location.put(self.id_at_location, wrapped(pointer))
        return self


class ParameterWrapper(Wrapper, nn.Parameter):
    """A parameter that was made a pointer in place, so that optimisers still refer to it."""

    HOME = nn.Parameter

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"Parameter containing:\n{self}"

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError(
            "a model that is at a worker has no copy: call model.get() first; the copy, and the model again, can "
            "then be sent"
        )

    def detach(self) -> Any:
        """Returns `data`: `state_dict` calls this, and a second object at the worker would share its memory."""
        return self.data


# Scripts print type(ptr); in 0.2.4 it is torch's own class.
for _class in (Wrapper, ParameterWrapper):
    _class.__name__ = _class.__qualname__ = _class.HOME.__name__
    _class.__module__ = _class.HOME.__module__


def wrapped(pointer: Any) -> Wrapper:
    wrapper = Wrapper()
    wrapper.child = pointer
    return wrapper


def like(wrapper: Wrapper, pointer: Any) -> Wrapper:
    """A wrapper of the same class."""
    new = wrapped(pointer)
    new.__class__ = type(wrapper)
    return new


def held(wrapper: Wrapper) -> Wrapper:
    """Register a pointer that a script gets with its owner, unless the owner is a client."""
    wrapper.child.owner.register_obj(wrapper)
    return wrapper


def become_pointer(tensor: Any, pointer: Any) -> None:
    """Make a plain tensor a wrapper in place; its values are dropped."""
    tensor.data = tensor.new_empty(0)
    tensor.__class__ = ParameterWrapper if isinstance(tensor, nn.Parameter) else Wrapper
    tensor.child = pointer


def come_home(wrapper: Any, tensor: torch.Tensor) -> None:
    """Turn a wrapper back into the plain tensor that it was before `become_pointer`."""
    del wrapper.child
    wrapper.__class__ = wrapper.HOME
    if hasattr(tensor, "take_place_of"):
        # A secret has no numbers to copy.
        tensor.take_place_of(wrapper)
        return
    wrapper.data = tensor.data
    wrapper.requires_grad_(tensor.requires_grad)
    wrapper.grad = tensor.grad


def first_wrapper(values: Iterable[Any], required: bool = True) -> Any:
    for value in values:
        if isinstance(value, Wrapper):
            return value
        if type(value) in (tuple, list):
            found = first_wrapper(value, required=False)
            if found is not None:
                return found
    if required:
        raise AttributeError("'Tensor' object has no attribute 'child'")
    return None
