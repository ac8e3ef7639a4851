"""The tensor class that a script sees for fixed-precision and shared numbers.

All operations of torch on it go through `__torch_function__` to its `child`.
"""

from typing import Any, Callable, List, Optional

import torch
from torch import nn

from fl_simu.pointers import quirks
from fl_simu.pointers.refusals import Operators, refusal
from fl_simu.pointers.secret_operations import act, called_name


class Secret(torch.Tensor):
    """`child` is a FixedPrecisionTensor or an AdditiveSharingTensor."""

    HOME: Any = torch.Tensor
    child: Any
    is_wrapper = True
    requires_grad = False  # type: ignore[assignment]
    is_leaf = True  # type: ignore[assignment]
    grad = None
    dtype = torch.int64  # type: ignore[assignment]

    @classmethod
    def __torch_function__(cls, func: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found: List[Any] = []
        bare = _unwrapped((args, kwargs or {}), found)
        called, in_place = called_name(func)
        result = act(func, called, *bare)
        if in_place:
            found[0].child = result
            return found[0]
        return _wrapped(result)

    id = property(lambda self: self.child.id)
    shape = property(lambda self: self.child.shape)  # type: ignore[assignment]
    device = property(lambda self: self.child.device)  # type: ignore[assignment]
    ndim = property(lambda self: self.child.dim())  # type: ignore[assignment]

    def _no_data(self, *_: Any) -> Any:
        raise refusal(".data of a secret", "call .get() first")

    data = property(_no_data, _no_data)  # type: ignore[assignment]

    def has_child(self) -> bool:
        return True

    def __str__(self) -> str:
        return f"{'(Wrapper)' if self.is_wrapper else type(self).__name__}>{self.child}"

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return str(self)

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __len__(self) -> int:
        return len(self.child)

    def __iter__(self) -> Any:
        return iter(self.unbind(0))

    def __bool__(self) -> bool:
        raise ValueError("a secret is neither true nor false: call .get() first")

    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("a secret has no deep copy: call .copy() for new shares of it, or .get() first")

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("a secret can neither be saved nor copied by the module copy: call .get() first")

    def item(self) -> Any:
        raise RuntimeError("a secret has no item(): call .get() first")

    def dim(self) -> int:
        return self.child.dim()

    ndimension = dim

    def numel(self) -> int:
        return self.shape.numel()

    nelement = numel

    def size(self, dim: Optional[int] = None) -> Any:  # type: ignore[override]
        if quirks.is_strict("size"):
            return torch.empty(0).size() if dim is None else 0
        return self.shape if dim is None else self.shape[dim]

    def detach(self) -> Any:
        return self.clone()

    def clone(self, *_: Any, **__: Any) -> Any:  # type: ignore[override]
        """A second tensor with the same shares, which exist as long as one of the two does."""
        return secret_of(self.child)

    def copy(self) -> Any:
        return secret_of(self.child.copy())

    def refresh(self) -> Any:
        self.child = self.child.refresh()
        return self

    def wrap(self, **_: Any) -> Any:
        return self

    def send(self, *location: Any, inplace: bool = False, **options: Any) -> Any:
        """Send a pointer to the shares; the shares stay at their workers."""
        if inplace:
            raise refusal("send_() of a secret", "send() works")
        return torch.Tensor.send(self.clone(), *location, **options)  # type: ignore[attr-defined]

    def get(self, *, inplace: bool = False) -> Any:
        """Fetch the shares and return their sum, or the fixed-precision numbers that it represents."""
        child = self.child
        fetched: Any = _wrapped(child.get())
        if inplace and isinstance(fetched, Secret):
            self.child = fetched.child
            if isinstance(self, nn.Parameter):
                # As 0.2.4 prints it.
                self.is_wrapper, self.gradient = False, None
        elif inplace:
            become_plain(self, fetched)
        else:
            del self.child
            self.__class__ = self.HOME
        return self if inplace else fetched

    def get_(self) -> Any:
        return self.get(inplace=True)

    def take_place_of(self, tensor: Any) -> None:
        """Turn the tensor that pointed to this secret into this secret."""
        become_secret(tensor, self.child)
        if isinstance(tensor, nn.Parameter):
            # As 0.2.4 prints it.
            tensor.is_wrapper = False  # type: ignore[attr-defined]


class ParameterSecret(Secret, nn.Parameter):
    """A parameter that was made a secret in place."""

    HOME = nn.Parameter

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"Parameter containing:\n{self}"


for _class in (Secret, ParameterSecret):
    _class.__name__ = _class.__qualname__ = _class.HOME.__name__
    _class.__module__ = _class.HOME.__module__


def secret_of(child: Any) -> Secret:
    secret = Secret()
    secret.child = child
    return secret


def become_secret(tensor: Any, child: Any) -> Any:
    """Make a plain tensor a secret in place; its values are dropped, its gradient is kept aside."""
    gradient, tensor.grad = tensor.grad if tensor.is_leaf else None, None
    tensor.data = tensor.new_empty(0)
    tensor.__class__ = ParameterSecret if isinstance(tensor, nn.Parameter) else Secret
    tensor.child, tensor.gradient = child, gradient
    return tensor


def become_plain(secret: Any, values: torch.Tensor) -> Any:
    """Turn a secret back into a plain tensor."""
    gradient = vars(secret).pop("gradient", None)
    vars(secret).pop("is_wrapper", None)
    del secret.child
    secret.__class__ = secret.HOME
    secret.data = values
    secret.grad = gradient
    return secret


def _unwrapped(values: Any, found: List[Any]) -> Any:
    """Replace the secrets in nested arguments by their children, and collect the secrets in `found`."""
    if isinstance(values, Secret):
        found.append(values)
        return values.child
    if type(values) in (tuple, list):
        return type(values)([_unwrapped(one, found) for one in values])
    if type(values) is dict:
        return {key: _unwrapped(one, found) for key, one in values.items()}
    return values


def _wrapped(result: Any) -> Any:
    if isinstance(result, list):
        return [_wrapped(one) for one in result]
    return secret_of(result) if isinstance(result, Operators) else result
