"""The errors of syft 0.2.4 that scripts catch, with its messages."""

from typing import Any, Dict, Optional


class DependencyError(Exception):
    """A package that is not installed.

    Args:
        package: the name that is imported.
        pypi_alias: the name on PyPI, if it differs.
    """

    def __init__(self, package: str, pypi_alias: Optional[str] = None) -> None:
        super().__init__(f"{package} is not installed; `pip install {pypi_alias or package}` installs it.")


class PureFrameworkTensorFoundError(BaseException):
    """Plain tensors among the arguments; never raised here. Not an `Exception`, as in 0.2.4."""


class RemoteObjectFoundError(BaseException):
    """A pointer among the arguments; never raised here. Not an `Exception`, as in 0.2.4."""

    def __init__(self, pointer: Any) -> None:
        super().__init__(pointer)
        self.pointer = pointer


class InvalidTensorForRemoteGet(Exception):
    """`remote_get` on something that is not a pointer to a pointer."""

    def __init__(self, tensor: object) -> None:
        super().__init__(
            "Tensor does not have attribute child. You remote get should be called on a chain of pointer "
            f"tensors, instead you called it on {tensor}."
        )


class WorkerNotFoundException(Exception):
    """An unknown worker."""


class CompressionNotFoundException(Exception):
    """An unknown message compression; never raised here: there are no messages."""


class CannotRequestObjectAttribute(Exception):
    """`get` on a pointer to an attribute, such as `.grad`."""


class TensorsNotCollocatedException(Exception):
    """An operation on tensors in different places."""

    def __init__(self, tensor_a: Any, tensor_b: Any, attr: str = "a method") -> None:
        self.tensor_a = tensor_a = getattr(tensor_a, "child", tensor_a)
        self.tensor_b = tensor_b = getattr(tensor_b, "child", tensor_b)
        places = [getattr(tensor, "location", None) for tensor in (tensor_a, tensor_b)]
        if all(place is not None for place in places):
            super().__init__(
                f"You tried to call {attr} involving two tensors which are not on the same machine! One tensor is "
                f"on {places[0]} while the other is on {places[1]}. Use a combination of .move(), .get(), and/or "
                ".send() to co-locate them to the same machine."
            )
            return
        place = next((place for place in places if place is not None), None)
        super().__init__(
            f"You tried to call {attr} involving two tensors where one tensor is actually located on another "
            f"machine (is a PointerTensor). Call .get() on the PointerTensor or .send("
            f"{getattr(place, 'id', place)}) on the other tensor.\n\nTensor A: {tensor_a}\nTensor B: {tensor_b}"
        )


class ResponseSignatureError(Exception):
    """An unexpected return value of a hooked function; never raised here."""

    def __init__(self, ids_generated: Any = None) -> None:
        super().__init__(*([] if ids_generated is None else [ids_generated]))
        self.ids_generated = ids_generated

    def get_attributes(self) -> Dict[str, Any]:
        return {"ids_generated": self.ids_generated}


class SendNotPermittedError(Exception):
    """`send` of a private tensor; never raised here."""


class GetNotPermittedError(Exception):
    """`get` of a private tensor; never raised here."""


class IdNotUniqueError(Exception):
    """An id that was assigned before; never raised here."""


class ObjectNotFoundError(Exception):
    """The worker has no object with this id."""

    def __init__(self, obj_id: Any, worker: Any) -> None:
        super().__init__(
            f'Object "{obj_id}" not found on worker!!! You just tried to interact with an object ID:{obj_id} on '
            f"{worker} which does not exist!!! Use .send() and .get() on all your tensors to make sure they're on "
            "the same machines. If you think this tensor does exist, check the ._objects dictionary on the worker "
            "and see for yourself!!! The most common reason this error happens is because someone calls .get() on "
            "the object's pointer without realizing it (which deletes the remote object and sends it to the "
            "pointer). Check your code to make sure you haven't already called .get() on this pointer!!!"
        )


class PlanCommandUnknownError(Exception):
    """An unknown command for plans; never raised here."""

    def __init__(self, command_name: object) -> None:
        super().__init__(f"There is no command {command_name}.")


class InvalidProtocolFileError(Exception):
    """A protocol file that cannot be read; never raised here."""


class UndefinedProtocolTypeError(Exception):
    """A type that the protocol file lacks; never raised here."""


class UndefinedProtocolTypePropertyError(Exception):
    """A property that a type in the protocol file lacks; never raised here."""


def route_method_exception(exception: BaseException, self: Any, args: Any, kwargs: Any) -> BaseException:
    """The error to raise for an error of `self.method(*args)`; it says so if the two are in different places."""
    other = args[0] if args else None
    places = [getattr(one, "location", None) for one in (self, other)]
    apart = getattr(places[0], "id", None) != getattr(places[1], "id", None)
    if all(hasattr(one, "is_wrapper") for one in (self, other)) and apart:
        return TensorsNotCollocatedException(self, other)
    return exception
