"""Numbers with a fixed number of digits after the point, stored as integers of a ring, local or shared."""

import operator
from numbers import Integral, Real
from typing import Any, Callable, Optional

import torch

from fl_simu.pointers import ring
from fl_simu.pointers.ids import ID_PROVIDER
from fl_simu.pointers.local import local_worker
from fl_simu.pointers.refusals import Operators, named, refusal
from fl_simu.pointers.sharing import AdditiveSharingTensor


class FixedPrecisionTensor(Operators):
    """x is stored as the integer part of x * base ** precision_fractional, modulo `field`.

    Args:
        field: the ring's size; its upper half represents the negative numbers.
        base, precision_fractional: base and number of the digits after the point.
        kappa: accepted, but has no effect, as in 0.2.4.
    """

    def __init__(
        self,
        owner: Any = None,
        id: Any = None,
        field: int = ring.FIELD,
        base: int = 10,
        precision_fractional: int = 3,
        kappa: int = 1,
        tags: Any = None,
        description: Optional[str] = None,
    ) -> None:
        self.owner = owner or local_worker()
        self.id = ID_PROVIDER.pop() if id is None else id
        self.field, self.base, self.precision_fractional = ring.checked(field), base, precision_fractional
        self.kappa, self.tags, self.description = kappa, tags, description
        self.child: Any = None

    @classmethod
    def of(cls, numbers: torch.Tensor, **options: Any) -> "FixedPrecisionTensor":
        """Fix numbers; raises ValueError for numbers that are too large for the field."""
        new = cls(**options)
        numbers = numbers.detach()
        held = (numbers.double() * new.scale).abs() < new.field / 2
        if not bool(held.all()):
            outside = numbers[~held].reshape(-1)[0].item()
            raise ValueError(
                f"{outside} cannot be fixed with {new.precision_fractional} digits of base {new.base}: the field "
                f"holds numbers below {new.field / 2 / new.scale:g}; take a lower precision_fractional"
            )
        new.child = (numbers * new.scale).long() % new.field
        return new

    @property
    def scale(self) -> int:
        return self.base**self.precision_fractional

    @property
    def shape(self) -> torch.Size:  # type: ignore[override]
        return self.child.shape

    @property
    def device(self) -> Any:
        return self.child.device

    @property
    def is_shared(self) -> bool:
        return isinstance(self.child, AdditiveSharingTensor)

    def __str__(self) -> str:
        return "FixedPrecisionTensor>" + str(self.child)

    __repr__ = __str__

    def with_child(self, child: Any) -> "FixedPrecisionTensor":
        new = FixedPrecisionTensor(
            field=self.field, base=self.base, precision_fractional=self.precision_fractional, kappa=self.kappa
        )
        new.child = child
        return new

    def share(self, *owners: Any, field: Optional[int] = None, crypto_provider: Any = None) -> Any:
        if field not in (None, self.field):
            raise ValueError(f"share(field={field}): these numbers were fixed in the field {self.field}, and stay")
        if self.is_shared:
            raise AttributeError("share() of what is shared already: call .get() first")
        return self.with_child(AdditiveSharingTensor.of(self.child, owners, self.field, crypto_provider))

    def get(self) -> "FixedPrecisionTensor":
        """The numbers with their shares summed up locally."""
        if not self.is_shared:
            raise AttributeError(f"'{type(self.child).__name__}' object has no attribute 'child'")
        return self.with_child(self.child.get())

    def float_precision(self) -> torch.Tensor:
        """The numbers as float32."""
        if self.is_shared:
            raise AttributeError("float_precision() of a shared secret: call .get() first")
        return ring.centred(self.child, self.field).float() / self.scale

    float_prec = float_precision

    def alike(self, other: Any, call: str) -> "FixedPrecisionTensor":
        """The other operand, if both have the same base, digits and field."""
        if not isinstance(other, FixedPrecisionTensor):
            kind = "an integer secret" if isinstance(other, AdditiveSharingTensor) else named(other)
            raise refusal(f"{call} of fixed-precision numbers and {kind}", "call .fix_precision() on it first")
        ours, theirs = ((one.base, one.precision_fractional, one.field) for one in (self, other))
        if ours != theirs:
            raise ValueError(f"{call} of two precisions (base, digits, field): {ours} and {theirs}")
        return other

    def _sum(self, other: Any, sign: int, call: str) -> "FixedPrecisionTensor":
        term: Any
        if isinstance(other, Integral):
            term = int(other) * self.scale
        elif isinstance(other, Real):
            term = int(float(other) * self.scale)
        else:
            term = self.alike(other, call).child
        if self.is_shared:
            return self.with_child(self.child.add(term) if sign > 0 else self.child.sub(term))
        if isinstance(term, AdditiveSharingTensor):
            return self.with_child((term if sign > 0 else term.mul(-1)).add(self.child))
        return self.with_child((self.child + sign * term) % self.field)

    def add(self, other: Any) -> "FixedPrecisionTensor":
        return self._sum(other, 1, "the sum")

    def sub(self, other: Any) -> "FixedPrecisionTensor":
        return self._sum(other, -1, "the difference")

    def mul(self, other: Any) -> "FixedPrecisionTensor":
        if isinstance(other, Integral):
            if self.is_shared:
                return self.with_child(self.child.mul(other))
            return self.with_child(ring.product(operator.mul, self.child, int(other), self.field))
        return self._product(operator.mul, other, "the product")

    def matmul(self, other: Any) -> "FixedPrecisionTensor":
        return self._product(torch.matmul, other, "the matrix product")

    def _product(self, operation: Callable, other: Any, call: str) -> "FixedPrecisionTensor":
        if isinstance(other, float):
            raise _no_float(call)
        factor = self.alike(other, call).child
        if self.is_shared:
            return self.with_child(self.child.mul(factor, operation).div(self.scale))
        if isinstance(factor, AdditiveSharingTensor):
            return self.with_child(factor.mul(self.child, operation, swapped=True).div(self.scale))
        ours, theirs = (ring.centred(one, self.field) for one in (self.child, factor))
        if bool((operation(ours.double().abs(), theirs.double().abs()) >= self.field / 2).any()):
            raise ValueError(f"{call} is too large for the field: take a lower precision_fractional")
        return self.with_child(ring.cut(operation(ours, theirs), self.scale) % self.field)

    def div(self, other: Any) -> "FixedPrecisionTensor":
        if isinstance(other, float):
            raise _no_float("the quotient")
        dividend, divisor = self, other
        if not isinstance(other, Integral):
            if self.alike(other, "the quotient").is_shared:
                raise refusal("the quotient by a secret", "a secret divided by a public number works")
            dividend, divisor = self.mul(self.scale), ring.centred(other.child, self.field)
        if dividend.is_shared:
            return self.with_child(dividend.child.div(divisor))
        return self.with_child(ring.cut(ring.centred(dividend.child, self.field), divisor) % self.field)

    def refresh(self) -> "FixedPrecisionTensor":
        return self.with_child(self.child.refresh())


def _no_float(call: str) -> NotImplementedError:
    return refusal(
        f"{call} of fixed-precision numbers and a float", "take an integer, or torch.tensor(...).fix_precision()"
    )
