"""The errors of syft 0.2.4 that scripts catch, with its texts."""

from typing import Any


class DependencyError(Exception):
    """A package that is not installed."""


class InvalidTensorForRemoteGet(Exception):
    """`remote_get` on what is no pointer to a pointer."""

    def __init__(self, tensor: object) -> None:
        super().__init__(
            "Tensor does not have attribute child. You remote get should be called on a chain of pointer "
            f"tensors, instead you called it on {tensor}."
        )


class WorkerNotFoundException(Exception):
    """A worker that nobody knows."""


class CannotRequestObjectAttribute(Exception):
    """`get` on a pointer to an attribute, such as `.grad`."""


class TensorsNotCollocatedException(Exception):
    """An operation on tensors of which one is elsewhere."""

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
    """The return of a hooked function was not foreseen; never raised here."""


class SendNotPermittedError(Exception):
    """`send` of a private tensor; never raised here."""


class GetNotPermittedError(Exception):
    """`get` of a private tensor; never raised here."""


class IdNotUniqueError(Exception):
    """An id that was given before; never raised here."""


class ObjectNotFoundError(Exception):
    """No object of this id on the worker."""

    def __init__(self, obj_id: Any, worker: Any) -> None:
        super().__init__(
            f'Object "{obj_id}" not found on worker!!! You just tried to interact with an object ID:{obj_id} on '
            f"{worker} which does not exist!!! Use .send() and .get() on all your tensors to make sure they're on "
            "the same machines. If you think this tensor does exist, check the ._objects dictionary on the worker "
            "and see for yourself!!! The most common reason this error happens is because someone calls .get() on "
            "the object's pointer without realizing it (which deletes the remote object and sends it to the "
            "pointer). Check your code to make sure you haven't already called .get() on this pointer!!!"
        )
