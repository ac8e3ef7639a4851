"""Bare pointers as tensors: torch's operators, methods and functions on a `child` return another bare pointer."""

from typing import Any, Callable, Dict

import torch

from fl_simu.pointers.wrappers import Wrapper, wrapped

METHODS = frozenset(name for name in dir(torch.Tensor) if not name.startswith("_")) | {"copy"}
OPERATORS = (
    "abs", "add", "and", "eq", "floordiv", "ge", "getitem", "gt", "iadd", "imul", "invert", "isub", "itruediv",
    "le", "lt", "matmul", "mod", "mul", "ne", "neg", "or", "pow", "radd", "rdiv", "rfloordiv", "rmul", "rpow",
    "rsub", "rtruediv", "setitem", "sub", "truediv", "xor",
)  # fmt: skip


class Bare:
    """The operations that a pointer without a wrapper takes from its wrapper."""

    _to: Callable

    __hash__ = object.__hash__

    def __getattr__(self, name: str) -> Any:
        if name not in METHODS:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        found = getattr(wrapped(self), name)
        return (lambda *args, **kwargs: _done(self, found, args, kwargs)) if callable(found) else found

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = {key: _dressed(value) for key, value in (kwargs or {}).items()}
        return _undressed(func(*[_dressed(value) for value in args], **named))


def _done(pointer: Bare, method: Callable, args: Any, kwargs: Dict[str, Any]) -> Any:
    """Call a wrapper's method; copies of local tensors are sent along, as with bare pointers in 0.2.4."""
    along = [
        wrapped(pointer._to(value.detach().clone()))
        if isinstance(value, torch.Tensor) and not isinstance(value, Wrapper)
        else _dressed(value)
        for value in args
    ]
    return _undressed(method(*along, **{key: _dressed(value) for key, value in kwargs.items()}))


def _dressed(value: Any) -> Any:
    if isinstance(value, Bare):
        return wrapped(value)
    return type(value)([_dressed(one) for one in value]) if type(value) in (tuple, list) else value


def _undressed(value: Any) -> Any:
    if isinstance(value, Wrapper):
        return value.child
    if isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
        return type(value)([_undressed(one) for one in value])
    return value


def _operator(name: str) -> Callable:
    def method(self: Bare, *args: Any) -> Any:
        return _done(self, getattr(wrapped(self), name), args, {})

    method.__name__ = name
    return method


for _name in OPERATORS:
    if hasattr(torch.Tensor, f"__{_name}__"):
        setattr(Bare, f"__{_name}__", _operator(f"__{_name}__"))
