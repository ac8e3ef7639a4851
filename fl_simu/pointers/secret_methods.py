"""The members of `SecretMethods`, which a TorchHook adds to tensors to make secrets of them."""

from typing import Any, Optional

from torch import nn

from fl_simu.pointers.fixed_precision import FixedPrecisionTensor
from fl_simu.pointers.pointers import PointerTensor
from fl_simu.pointers.refusals import refusal
from fl_simu.pointers.secret import Secret, become_plain, become_secret, secret_of
from fl_simu.pointers.sharing import AdditiveSharingTensor, placed
from fl_simu.pointers.wrappers import Wrapper, wrapped


def _beside(pointer: Any, tensor: Any) -> PointerTensor:
    """Place another tensor at a wrapper's location, and point to it."""
    return placed(tensor, pointer.child.location, pointer.child.owner)


def _target(pointer: Any, call: str) -> Any:
    if not isinstance(pointer.child, PointerTensor):
        raise refusal(f"{call} at several workers", "call it before send(), or on the pointer to each worker")
    return pointer.child.target()


class SecretMethods:
    """On a pointer, each method acts on the tensor at the worker."""

    def fix_precision(
        self: Any, storage: str = "auto", field_type: str = "int100", no_wrap: bool = False, **options: Any
    ) -> Any:
        """The numbers with a resolution of `base` ** -`precision_fractional`, 0.001 by default.

        A pointer then points to the fixed numbers, as in 0.2.4; its former tensor is deleted.

        Raises:
            ValueError: a number is too large for `field`.
        """
        if storage != "auto":
            raise refusal(f"fix_precision(storage={storage!r})", "leave storage away")
        if isinstance(self, Wrapper):
            self.child = _beside(self, _target(self, "fix_precision()").fix_precision(**options))
            return self.child if no_wrap else self
        if isinstance(self, Secret):
            raise AttributeError("fix_precision() of what is a secret already")
        fixed = FixedPrecisionTensor.of(self, **options)
        return fixed if no_wrap else secret_of(fixed)

    def fix_precision_(self: Any, **options: Any) -> Any:
        if isinstance(self, Wrapper):
            return SecretMethods.fix_precision(self, **options)
        return become_secret(self, self.fix_precision(no_wrap=True, **options))

    def float_precision(self: Any) -> Any:
        """Convert fixed-precision numbers to float32; a pointer then points to the result."""
        if isinstance(self, Wrapper):
            numbers = _target(self, "float_precision()").float_precision()
            is_parameter = isinstance(self, nn.Parameter)
            self.child = _beside(self, nn.Parameter(numbers) if is_parameter else numbers)
            return self
        if not isinstance(self, Secret):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute 'child'")
        return self.child.float_precision()

    def float_precision_(self: Any) -> Any:
        if isinstance(self, Wrapper):
            return SecretMethods.float_precision(self)
        if not isinstance(self, Secret):
            raise AttributeError(f"'{type(self).__name__}' object has no attribute 'child'")
        return become_plain(self, self.child.float_precision())

    fix_prec, fix_prec_, float_prec, float_prec_ = fix_precision, fix_precision_, float_precision, float_precision_

    def share(
        self: Any,
        *owners: Any,
        field: Optional[int] = None,
        crypto_provider: Any = None,
        requires_grad: bool = False,
        no_wrap: bool = False,
    ) -> Any:
        """Share integers, or fixed-precision numbers, among workers.

        Args:
            owners: two or more workers, or their ids.
            field: the ring's size, 2 ** 62 by default.
            crypto_provider: printed with the secret; nothing here uses one.

        Raises:
            TypeError: the numbers have no fixed precision.
        """
        if requires_grad:
            raise refusal("share(requires_grad=True)", "train on pointers, and share the parameters")
        options = {"field": field, "crypto_provider": crypto_provider}
        if isinstance(self, Wrapper):
            return wrapped(_beside(self, _target(self, "share()").share(*owners, **options)))
        if isinstance(self, Secret):
            if not isinstance(self.child, FixedPrecisionTensor):
                raise AttributeError("share() of what is shared already: call .get() first")
            shared: Any = self.child.share(*owners, **options)
        elif self.is_floating_point():
            raise TypeError("a tensor of floats cannot be shared: call .fix_precision() first")
        else:
            shared = AdditiveSharingTensor.of(self, owners, field, crypto_provider)
        return shared if no_wrap else secret_of(shared)

    def share_(self: Any, *owners: Any, **options: Any) -> Any:
        """In place for pointers and secrets; for plain integers the same as `share`, as in 0.2.4."""
        shared = self.share(*owners, **options)
        if isinstance(self, (Wrapper, Secret)):
            self.child = shared.child
            return self
        return shared
