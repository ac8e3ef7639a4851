"""Refusals of operations on secrets, and the operators that both classes of secrets share."""

from typing import Any

import torch

TWO_SECRETS = "their sum and difference work, and products with public numbers; for others call .get() first"


def refusal(call: str, instead: str) -> NotImplementedError:
    return NotImplementedError(f"{call} is not covered by fl_simu.pointers: {instead}")


def named(value: Any) -> str:
    """A description of an operand for messages."""
    return f"a plain tensor of {value.dtype}" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"


class Operators:
    """The operators +, -, * and /, defined by `add`, `sub`, `mul` and `div`."""

    is_wrapper = False
    grad = None
    shape: Any

    def add(self, other: Any) -> Any:
        raise NotImplementedError

    sub = mul = div = matmul = add

    def __add__(self, other: Any) -> Any:
        return self.add(other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self.sub(other)

    def __rsub__(self, other: Any) -> Any:
        return self.mul(-1).add(other)

    def __mul__(self, other: Any) -> Any:
        return self.mul(other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return self.div(other)

    def __matmul__(self, other: Any) -> Any:
        return self.matmul(other)

    def __neg__(self) -> Any:
        return self.mul(-1)

    def copy(self) -> Any:
        return self.add(0)

    def dim(self) -> int:
        return len(self.shape)

    def __len__(self) -> int:
        return self.shape[0] if len(self.shape) else 0
