"""Objects at workers other than tensors, and pointers to them."""

from typing import Any, Optional

from fl_simu.pointers.ids import ID_PROVIDER


class ObjectWrapper:
    """Any object `obj` with an id, so that a worker can hold it; calling the wrapper calls the object."""

    def __init__(self, obj: Any, id: Any = None, tags: Any = None, description: Optional[str] = None) -> None:
        self.obj, self.id = obj, ID_PROVIDER.pop() if id is None else id
        self.tags, self.description = tags, description

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.obj(*args, **kwargs)

    def __str__(self) -> str:
        return f"<{type(self).__name__} id:{self.id} obj:{self.obj}>"

    __repr__ = __str__


class ObjectPointer:
    """A pointer to an object that is not a tensor.

    Args:
        location: the worker that holds the object.
        id_at_location: the object's id there.
        owner: the worker that holds the pointer.
        id: the pointer's own id.
        garbage_collect_data: whether the worker deletes the object when the pointer is deleted.
        tags, description: labels by which the object can be found.
    """

    is_wrapper = False
    point_to_attr: Optional[str] = None

    def __init__(
        self,
        location: Any = None,
        id_at_location: Any = None,
        owner: Any = None,
        id: Any = None,
        garbage_collect_data: bool = True,
        tags: Any = None,
        description: Optional[str] = None,
    ) -> None:
        self.location, self.id_at_location, self.owner = location, id_at_location, owner
        self.id = ID_PROVIDER.pop() if id is None else id
        self.garbage_collect_data = garbage_collect_data
        self.tags, self.description = tags, description

    def __del__(self) -> None:
        if self.garbage_collect_data:
            self.location.rm_obj(self.id_at_location)

    def __str__(self) -> str:
        place = f"{self.owner.id}:{self.id} -> {self.location.id}:{self.id_at_location}"
        return f"[{type(self).__name__} | {place}]{labels(self)}"

    __repr__ = __str__

    def target(self) -> Any:
        """The object itself, at its worker.

        Raises:
            ObjectNotFoundError: it is no longer there.
        """
        return self.location.get_obj(self.id_at_location)

    def get(self, user: Any = None, reason: str = "", deregister_ptr: bool = True) -> Any:
        """Fetch the object from its worker, which no longer holds it."""
        found = self.owner.request_obj(self.id_at_location, self.location, user, reason)
        self.garbage_collect_data = False
        return found

    def tag(self, *tags: str) -> Any:
        self.tags = {*(self.tags or ()), *tags}
        return self

    def describe(self, description: str) -> Any:
        self.description = description
        return self

    def wrap(self, **_: Any) -> Any:
        return self


def labels(thing: Any) -> str:
    """Tags, shape and description, as printed after a pointer."""
    text = ""
    if thing.tags:
        text += "\n\tTags: " + "".join(f"{tag} " for tag in thing.tags)
        text += f"\n\tShape: {thing.shape}" if hasattr(thing, "shape") else ""
    if thing.description is not None:
        first = str(thing.description).split("\n")[0]
        text += f"\n\tDescription: {first}..."
    return text
