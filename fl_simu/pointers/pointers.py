"""Pointers: they hold no values, only a worker and an id; every operation on them runs at that worker.

`PointerTensor` is the `child` of the tensor that a script sees; deleting it deletes the object. Every operation
of torch on such a tensor ends in `run`: it replaces the pointers among the arguments by the real tensors of the
worker's `_objects`, runs torch on those, stores the result there, and returns a pointer to it. Remote autograd
is torch's own, on the real tensors. A worker in another process is asked to do the same, see `remote`.
"""

from typing import Any, Callable, Dict, Optional

import torch

from fl_simu.pointers.arguments import SPECIAL, there, there_or_sent_along, there_or_taken_along
from fl_simu.pointers.bare import Bare
from fl_simu.pointers.exceptions import CannotRequestObjectAttribute
from fl_simu.pointers.far import Far
from fl_simu.pointers.ids import ID_PROVIDER
from fl_simu.pointers.kinds import IN_PLACE, PLAIN, RECURRENT, SETTER, kind_of
from fl_simu.pointers.objects import ObjectPointer, labels
from fl_simu.pointers.travel import brought
from fl_simu.pointers.wrappers import Wrapper, held, wrapped

NO_GET_OF_ATTRIBUTE = (
    "You called .get() on a pointer to a tensor attribute. This is not yet supported. Call .clone().get() instead."
)


class PointerTensor(Bare, ObjectPointer):
    """The location of a tensor, and its id there.

    Args:
        location: the worker that holds the tensor.
        id_at_location: the tensor's id there.
        owner: the worker that holds the pointer.
        id: the pointer's own id.
        garbage_collect_data: whether the worker deletes the tensor when the pointer is deleted.
        shape: the tensor's shape, if it is already known.
        point_to_attr: set if the pointer is to an attribute of the tensor: "grad", "data", "grad.data".
        tags, description: labels by which the tensor can be found.
    """

    is_wrapper = False
    # Whether torch.save may save the tensor's values, as for the memory of an optimiser.
    saved_by_value = False
    # The tensor's gradient, cached: optimisers ask for it several times a step.
    _grad: Optional[Wrapper] = None

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
        super().__init__(location, id_at_location, owner, id, garbage_collect_data, tags, description)
        self._shape, self.point_to_attr = shape, point_to_attr

    def __del__(self) -> None:
        if self.garbage_collect_data and self.point_to_attr is None:
            self.location.rm_obj(self.id_at_location)

    def __str__(self) -> str:
        text = f"[PointerTensor | {self.owner.id}:{self.id} -> {self.location.id}:{self.id_at_location}]"
        if self.point_to_attr is not None:
            text += "::" + self.point_to_attr.replace(".", "::")
        return text + labels(self)

    __repr__ = __str__

    def target(self) -> Any:
        """The real tensor, at its worker; for a worker in another process, a `Far`.

        Raises:
            ObjectNotFoundError: it is no longer there.
        """
        path = () if self.point_to_attr is None else tuple(self.point_to_attr.split("."))
        return self.location.held(self.id_at_location, path)

    @property
    def shape(self) -> Any:
        if self._shape is None:
            self._shape = self.target().shape
        return self._shape

    @property
    def grad(self) -> Optional["Wrapper"]:
        if self.target().grad is None:
            return None
        if self._grad is None:
            self._grad = wrapped(self.attr("grad"))
        return self._grad

    def wrap(self, register: bool = True, **_: Any) -> "Wrapper":
        return held(wrapped(self)) if register else wrapped(self)

    def attr(self, name: str) -> "PointerTensor":
        path = name if self.point_to_attr is None else f"{self.point_to_attr}.{name}"
        return PointerTensor(self.location, self.id_at_location, self.owner, self.id, point_to_attr=path)

    def twin(self) -> "PointerTensor":
        """A second pointer with the same ids; deleting either of them does not delete the tensor."""
        self.garbage_collect_data = False
        return PointerTensor(self.location, self.id_at_location, self.owner, self.id, False)

    def of(self, owner: Any, garbage_collect_data: bool) -> "PointerTensor":
        """The same pointer with another owner."""
        return PointerTensor(self.location, self.id_at_location, owner, self.id, garbage_collect_data, self._shape)

    def sent(self, wrapper: Wrapper, worker: Any) -> "PointerTensor":
        """Send this pointer, in its wrapper, to a worker; returns a pointer to it there."""
        worker.put(self.id, brought(wrapper, worker))
        return PointerTensor(worker, self.id, self.owner, shape=self._shape)

    def assign(self, name: str, value: Any) -> None:
        """Set an attribute of the tensor at the worker to another tensor at that worker, or to None."""
        setattr(self.target(), name, there(value, self))

    def get(self, user: Any = None, reason: str = "", deregister_ptr: bool = True) -> Any:
        """Fetch the tensor with its gradient from its worker, which no longer holds it."""
        if self.point_to_attr is not None:
            raise CannotRequestObjectAttribute(NO_GET_OF_ATTRIBUTE)
        found = self.owner.request_obj(self.id_at_location, self.location, user, reason)
        self.garbage_collect_data = False
        if deregister_ptr:
            self.owner.de_register_obj(self)
        if self.owner is self.location:
            return found
        return brought(found, self.owner)

    def move(self, destination: Any) -> "PointerTensor":
        found = self.location.get_obj(self.id_at_location)
        arrived = brought(found, destination)
        self.location.rm_obj(self.id_at_location)
        destination.keep(arrived, self.id_at_location)
        self.location, self._grad = destination, None
        return self

    def run(self, func: Callable, args: Any, kwargs: Dict[str, Any]) -> Any:
        """Run a function of torch at the worker; see the module's docstring."""
        kind = kind_of(func)
        if kind is not PLAIN:
            special = SPECIAL.get(kind)
            answer = None if special is None else special(self, args, kwargs)
            if answer is not None:
                return answer
        brings = there if kind is not RECURRENT else there_or_taken_along
        real = [brings(value, self) for value in args]
        named = {key: there_or_sent_along(value, self) for key, value in kwargs.items()} if kwargs else {}
        result = self.location.done(func, real, named)
        if kind is IN_PLACE and isinstance(result, (torch.Tensor, Far)):
            return args[0]
        if result is None:
            # 0.2.4 returns a pointer even if there is nothing to point to.
            return None if kind is SETTER else wrapped(self._to(None))
        return self._answer(result)

    def _answer(self, result: Any) -> Any:
        if isinstance(result, torch.Tensor):
            return wrapped(self._to(result))
        if isinstance(result, Far):
            return wrapped(PointerTensor(self.location, result.id, self.owner, shape=result.known_shape))
        if isinstance(result, (tuple, list)) and not isinstance(result, torch.Size):
            answers = [self._answer(one) for one in result]
            # The constructors of named results, such as those of `max` and `sort`, take one sequence.
            return type(result)(answers)
        return result

    def _to(self, tensor: Any) -> "PointerTensor":
        """Store a new tensor at this pointer's location and point to it; for None, point to nothing."""
        new = ID_PROVIDER.pop()
        if tensor is not None:
            self.location.put(new, tensor)
        return PointerTensor(self.location, new, self.owner)
