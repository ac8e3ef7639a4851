"""Pointers: a tensor that holds no values but a worker and an id, and runs what is done to it over there.

`Wrapper` is the tensor that a script sees; its `child` is the `PointerTensor`, which holds worker and id and takes
the object away when it goes. Everything that torch does with a wrapper comes by `__torch_function__`: the
pointers among the arguments are replaced by the real tensors of the worker's `_objects`, torch runs on those, the
result is stored there, and a pointer to it comes back. Remote autograd is torch's own, on the real tensors.
"""

import copy as copying
from typing import Any, Callable, Dict, Iterable, Optional

import torch
from torch import nn

from fl_simu.pointers import quirks
from fl_simu.pointers.exceptions import (
    CannotRequestObjectAttribute,
    InvalidTensorForRemoteGet,
    ObjectNotFoundError,
    TensorsNotCollocatedException,
)
from fl_simu.pointers.ids import ID_PROVIDER, label_of
from fl_simu.pointers.kinds import BATCH_NORM, IN_PLACE, INDEX, PLAIN, RECURRENT, SETTER, kind_of

NO_ITEM = (
    'Error, Please consider calling ".get" method instead of ".item" method, '
    "so you can be safely getting the item you need."
)
NO_GET_OF_ATTRIBUTE = (
    "You called .get() on a pointer to a tensor attribute. This is not yet supported. Call .clone().get() instead."
)


class PointerTensor:
    """Where a tensor is, and under which id.

    Args:
        location: the worker that has it.
        id_at_location: its id there.
        owner: the worker that has the pointer.
        id: the pointer's own id.
        garbage_collect_data: whether the tensor leaves its worker when the pointer goes.
        shape: of the tensor, if it is known already.
        point_to_attr: the pointer is to an attribute of the tensor: "grad", "data", "grad.data".
        tags, description: what the tensor is found by.
    """

    is_wrapper = False

    def __init__(
        self,
        location: Any = None,
        id_at_location: Any = None,
        owner: Any = None,
        id: Any = None,
        garbage_collect_data: bool = True,
        shape: Any = None,
        point_to_attr: Optional[str] = None,
        tags: Any = None,
        description: Optional[str] = None,
    ) -> None:
        self.location, self.id_at_location, self.owner = location, id_at_location, owner
        self.id = ID_PROVIDER.pop() if id is None else id
        self.garbage_collect_data = garbage_collect_data
        self._shape = shape
        self.point_to_attr, self.tags, self.description = point_to_attr, tags, description

    def __del__(self) -> None:
        if self.garbage_collect_data and self.point_to_attr is None:
            self.location._objects.pop(self.id_at_location, None)

    def __str__(self) -> str:
        text = f"[PointerTensor | {self.owner.id}:{self.id} -> {self.location.id}:{self.id_at_location}]"
        if self.point_to_attr is not None:
            text += "::" + self.point_to_attr.replace(".", "::")
        if self.tags:
            text += "\n\tTags: " + "".join(f"{tag} " for tag in self.tags) + f"\n\tShape: {self.shape}"
        if self.description is not None:
            first = str(self.description).split("\n")[0]
            text += f"\n\tDescription: {first}..."
        return text

    __repr__ = __str__

    def target(self) -> Any:
        """The real tensor, where it is.

        Raises:
            ObjectNotFoundError: it is not there any more.
        """
        try:
            found = self.location._objects[self.id_at_location]
        except KeyError:
            raise ObjectNotFoundError(self.id_at_location, self.location) from None
        if self.point_to_attr is not None:
            for name in self.point_to_attr.split("."):
                found = getattr(found, name)
        return found

    @property
    def shape(self) -> Any:
        if self._shape is None:
            self._shape = self.target().shape
        return self._shape

    @property
    def grad(self) -> Optional["Wrapper"]:
        return None if self.target().grad is None else wrapped(self.attr("grad"))

    def wrap(self, **_: Any) -> "Wrapper":
        return wrapped(self)

    def attr(self, name: str) -> "PointerTensor":
        path = name if self.point_to_attr is None else f"{self.point_to_attr}.{name}"
        return PointerTensor(self.location, self.id_at_location, self.owner, self.id, point_to_attr=path)

    def twin(self) -> "PointerTensor":
        """A second pointer with the same ids; neither of the two takes the tensor away."""
        self.garbage_collect_data = False
        return PointerTensor(self.location, self.id_at_location, self.owner, self.id, False)

    def get(self, user: Any = None, reason: str = "", deregister_ptr: bool = True) -> Any:
        """Take the tensor away from its worker and bring it here, with its gradient."""
        if self.point_to_attr is not None:
            raise CannotRequestObjectAttribute(NO_GET_OF_ATTRIBUTE)
        found = self.owner.request_obj(self.id_at_location, self.location, user, reason)
        self.garbage_collect_data = False
        if self.owner is self.location:
            return found
        return brought(found, self.owner)

    def move(self, destination: Any) -> "PointerTensor":
        found = self.location.get_obj(self.id_at_location)
        arrived = brought(found, destination)
        self.location.rm_obj(self.id_at_location)
        destination.keep(arrived, self.id_at_location)
        self.location = destination
        return self

    def run(self, func: Callable, args: Any, kwargs: Dict[str, Any]) -> Any:
        """Do there what was to be done here; see the module's docstring."""
        kind = kind_of(func)
        if kind is not PLAIN:
            special = SPECIAL.get(kind)
            answer = None if special is None else special(self, args, kwargs)
            if answer is not None:
                return answer
        there = _there if kind is not RECURRENT else _there_or_taken_along
        real = [there(value, self) for value in args]
        result = func(*real, **{key: there(value, self) for key, value in kwargs.items()} if kwargs else {})
        if kind is IN_PLACE and isinstance(result, torch.Tensor):
            return args[0]
        if result is None:
            # 0.2.4 answers with a pointer also where there is nothing to point to.
            return None if kind is SETTER else wrapped(self._to(None))
        return self._answer(result)

    def _answer(self, result: Any) -> Any:
        if isinstance(result, torch.Tensor):
            return wrapped(self._to(result))
        if isinstance(result, (tuple, list)) and not isinstance(result, torch.Size):
            answers = [self._answer(one) for one in result]
            # The named results of `max`, `sort` and the like are made from one sequence.
            return type(result)(answers)
        return result

    def _to(self, tensor: Any) -> "PointerTensor":
        """A pointer to a tensor that is new at this pointer's location; to nothing for None."""
        new = ID_PROVIDER.pop()
        if tensor is not None:
            self.location._objects[new] = tensor
        return PointerTensor(self.location, new, self.owner)


class Wrapper(torch.Tensor):
    """The tensor that stands for one at a worker; `child` is the PointerTensor, or a MultiPointerTensor."""

    HOME: Any = torch.Tensor
    child: Any

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return _first_wrapper((*args, *kwargs.values())).child.run(func, args, kwargs)

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
        self.child.target().data = _there(value, self.child)

    @property  # type: ignore[override]
    def grad(self) -> Any:
        return self.child.grad

    @grad.setter
    def grad(self, value: Any) -> None:
        self.child.target().grad = None if value is None else _there(value, self.child)

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
            return _like(self, self.child.twin())
        return self.copy()

    def set_(self, *source: Any) -> "Wrapper":  # type: ignore[override]
        """Here because torch does not dispatch it."""
        if not quirks.is_strict("set"):
            self.child.target().set_(*[_there(value, self.child) for value in source])
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
        """Send the pointer itself; what comes back is a pointer to a pointer."""
        (place,) = location
        owner, worker = self.child.owner, self.child.owner.get_worker(place)
        sent = brought(self, worker)
        worker._objects[self.child.id] = sent
        pointer = PointerTensor(worker, self.child.id, owner, shape=self.child._shape)
        if inplace:
            self.child = pointer
            return self
        return pointer if no_wrap else _like(self, pointer)

    def send_(self, *location: Any, **options: Any) -> "Wrapper":
        return self.send(*location, inplace=True, **options)

    def get(self, *args: Any, inplace: bool = False, **kwargs: Any) -> Any:
        """Take the tensor away from its worker and return it; this wrapper then points nowhere."""
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
        """Let the worker get what its pointer points to."""
        pointer = self.child.target()
        if not isinstance(pointer, Wrapper):
            raise InvalidTensorForRemoteGet(pointer)
        self.location.keep(pointer.get(), self.id_at_location)
        return self

    mid_get = remote_get

    def remote_send(self, location: Any) -> "Wrapper":
        """Let the worker send the tensor on; it keeps a pointer."""
        self.location._objects[self.id_at_location] = self.child.target().send(location)
        return self


class ParameterWrapper(Wrapper, nn.Parameter):
    """A parameter that became a pointer in place, so that optimisers keep hold of it."""

    HOME = nn.Parameter

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"Parameter containing:\n{self}"

    def detach(self) -> Any:
        """Its data; `state_dict` asks for it, and a second object at the worker would share its memory."""
        return self.data


# Scripts print type(ptr); with 0.2.4 it is torch's own class.
for _class in (Wrapper, ParameterWrapper):
    _class.__name__ = _class.__qualname__ = _class.HOME.__name__
    _class.__module__ = _class.HOME.__module__


def wrapped(pointer: Any) -> Wrapper:
    wrapper = Wrapper()
    wrapper.child = pointer
    return wrapper


def _like(wrapper: Wrapper, pointer: PointerTensor) -> Wrapper:
    new = wrapped(pointer)
    new.__class__ = type(wrapper)
    return new


def become_pointer(tensor: Any, pointer: PointerTensor) -> None:
    """Make a plain tensor a wrapper in place; its values are given up."""
    tensor.data = tensor.new_empty(0)
    tensor.__class__ = ParameterWrapper if isinstance(tensor, nn.Parameter) else Wrapper
    tensor.child = pointer


def come_home(wrapper: Any, tensor: torch.Tensor) -> None:
    """Make a wrapper the plain tensor again that it was before `become_pointer`."""
    del wrapper.child
    wrapper.__class__ = wrapper.HOME
    wrapper.data = tensor.data
    wrapper.requires_grad_(tensor.requires_grad)
    wrapper.grad = tensor.grad


def brought(found: Any, owner: Any) -> Any:
    """What of an object that leaves its worker arrives at another: of a tensor a copy, of a pointer the pointer.

    A parameter is handed over as it is: nothing else at the worker shares its memory.
    """
    if isinstance(found, nn.Parameter) and not isinstance(found, Wrapper):
        label_of(found).owner = None
        return found
    if not isinstance(found, Wrapper):
        return copied(found)
    pointer = found.child
    collect, pointer.garbage_collect_data = pointer.garbage_collect_data, False
    if pointer.location is owner:
        return owner.get_obj(pointer.id_at_location)
    new = PointerTensor(pointer.location, pointer.id_at_location, owner, pointer.id, collect, pointer._shape)
    return _like(found, new)


def copied(tensor: Any) -> Any:
    """A tensor as it comes out of a message: a leaf of its own, with gradient, tags and description."""
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


def _skipped_batch_norm(pointer: PointerTensor, args: Any, kwargs: Dict[str, Any]) -> Any:
    return args[0] if quirks.is_strict("batch_norm") else None


def _no_recurrence(pointer: PointerTensor, args: Any, kwargs: Dict[str, Any]) -> None:
    if quirks.is_strict("recurrent"):
        raise IndexError("Dimension out of range (expected to be in range of [-1, 0], but got 1)")


def _no_mask(pointer: PointerTensor, args: Any, kwargs: Dict[str, Any]) -> None:
    mask = _first_wrapper((args[1],), required=False)
    if mask is not None and mask.dtype in (torch.bool, torch.uint8) and quirks.is_strict("mask"):
        raise IndexError("shape mismatch: indexing tensors could not be broadcast together")


SPECIAL = {BATCH_NORM: _skipped_batch_norm, RECURRENT: _no_recurrence, INDEX: _no_mask}


def _first_wrapper(values: Iterable[Any], required: bool = True) -> Any:
    for value in values:
        if isinstance(value, Wrapper):
            return value
        if type(value) in (tuple, list):
            found = _first_wrapper(value, required=False)
            if found is not None:
                return found
    if required:
        raise AttributeError("'Tensor' object has no attribute 'child'")
    return None


def _there(value: Any, pointer: PointerTensor) -> Any:
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
        return type(value)([_there(one, pointer) for one in value])
    return value


def _there_or_taken_along(value: Any, pointer: PointerTensor) -> Any:
    """The same for recurrent layers, which make their first state here: it goes along."""
    if isinstance(value, torch.Tensor) and not isinstance(value, Wrapper):
        return value
    if type(value) in (tuple, list):
        return type(value)([_there_or_taken_along(one, pointer) for one in value])
    return _there(value, pointer)
