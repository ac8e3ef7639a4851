"""Additive sharing: each worker holds one summand of a secret; all workers but one together learn nothing."""

import math
import operator
from numbers import Integral
from typing import Any, Callable, Dict, List, Optional

import torch

from fl_simu.pointers import ring
from fl_simu.pointers.ids import ID_PROVIDER
from fl_simu.pointers.local import local_worker
from fl_simu.pointers.pointers import PointerTensor
from fl_simu.pointers.refusals import TWO_SECRETS, Operators, named, refusal


def placed(tensor: Any, worker: Any, owner: Any) -> PointerTensor:
    """Place a tensor at a worker, and point to it."""
    if worker.is_far:
        raise refusal(f"a secret at {worker.id}, which is in another process", "share among VirtualWorkers")
    pointer = PointerTensor(worker, ID_PROVIDER.pop(), owner, shape=tensor.shape)
    worker.put(pointer.id_at_location, tensor)
    return pointer


class AdditiveSharingTensor(Operators):
    """Pointers to shares by worker id; the sum of the shares modulo `field` is the secret.

    Each worker adds secrets, and does other linear operations, on its own. A quotient, and so a product of
    fixed-precision numbers, may be off by one in the last digit. It needs exactly two workers, as in 0.2.4:
    only then is the shares' carry known.

    Args:
        shares: pointers, or wrappers around them, by worker.
        field: the ring's size.
        n_bits: number of bits of `field`.
        crypto_provider: the worker that other protocols would ask for triples; not used here.
    """

    def __init__(
        self,
        shares: Optional[Dict[Any, Any]] = None,
        owner: Any = None,
        id: Any = None,
        field: Optional[int] = None,
        n_bits: Optional[int] = None,
        crypto_provider: Any = None,
        tags: Any = None,
        description: Optional[str] = None,
    ) -> None:
        self.owner: Any = owner or local_worker()
        self.id = ID_PROVIDER.pop() if id is None else id
        self.tags, self.description = tags, description
        self.field = ring.checked(ring.FIELD if field is None else field)
        self.n_bits = max(8, round(math.log2(self.field))) if n_bits is None else n_bits
        self.crypto_provider: Any = crypto_provider or local_worker()
        self.child: Any = shares and {worker: getattr(share, "child", share) for worker, share in shares.items()}

    @classmethod
    def of(
        cls, secret: torch.Tensor, owners: Any, field: Optional[int] = None, crypto_provider: Any = None
    ) -> "AdditiveSharingTensor":
        """Share a tensor of integers among workers.

        Raises:
            ValueError: fewer than two workers, a worker given twice, or an unknown worker.
        """
        local = local_worker()
        places = [local.get_worker(owner) if local is not None else owner for owner in owners]
        unknown = [place for place in places if isinstance(place, (str, int))]
        if unknown:
            raise ValueError(f"share() knows no worker {unknown[0]!r}")
        if len({place.id for place in places}) < max(2, len(places)):
            raise ValueError("share() needs two or more workers, each of them once")
        if isinstance(crypto_provider, str) and local is not None:
            crypto_provider = local.get_worker(crypto_provider)
        shared = cls(field=field, crypto_provider=crypto_provider)
        shares = cls.generate_shares(secret, len(places), shared.field)
        shared.child = {place.id: placed(share, place, shared.owner) for place, share in zip(places, shares)}
        return shared

    @staticmethod
    def generate_shares(
        secret: torch.Tensor, n_workers: int, field: int, random_type: Any = None
    ) -> List[torch.Tensor]:
        """Draw all shares but the last, which is the remainder: any subset without one share is uniform."""
        shares = []
        left = secret.long() % field
        for _ in range(n_workers - 1):
            ring.advance_torch(secret.shape, field)
            shares.append(ring.uniform(secret.shape, field).to(secret.device))
            left = (left - shares[-1]) % field
        return [*shares, left]

    def __str__(self) -> str:
        lines = [f"\n\t-> {share}" for share in (self.child or {}).values()]
        return "[AdditiveSharingTensor]" + "".join(lines) + f"\n\t*crypto provider: {self.crypto_provider.id}*"

    __repr__ = __str__

    def __bool__(self) -> bool:
        raise ValueError("a shared secret is neither true nor false: call .get() first")

    @property
    def locations(self) -> List[Any]:
        return [share.location for share in self.child.values()]

    @property
    def shape(self) -> torch.Size:
        return next(iter(self.child.values())).shape

    @property
    def device(self) -> Any:
        return next(iter(self.child.values())).target().device

    def get(self) -> torch.Tensor:
        """The secret, an int64 tensor; the workers no longer hold the shares."""
        return self._sum([share.get() for share in self.child.values()])

    def virtual_get(self) -> torch.Tensor:
        """Like `get`, but the workers keep the shares."""
        return self._sum([share.target() for share in self.child.values()])

    def _sum(self, shares: List[torch.Tensor]) -> torch.Tensor:
        total = shares[0]
        for share in shares[1:]:
            total = (total + share) % self.field
        return ring.centred(total, self.field)

    def made_of(self, results: Dict[Any, torch.Tensor]) -> "AdditiveSharingTensor":
        """A sharing with new tensors at the workers as its shares."""
        new = AdditiveSharingTensor(field=self.field, n_bits=self.n_bits, crypto_provider=self.crypto_provider)
        new.child = {}
        for worker, result in results.items():
            new.child[worker] = placed(result, self.child[worker].location, self.owner)
        return new

    def at_each(self, func: Callable, *others: "AdditiveSharingTensor") -> "AdditiveSharingTensor":
        """Let each worker apply a function to its shares."""
        return self.made_of(
            {
                worker: func(share.target(), *(other.child[worker].target() for other in others)) % self.field
                for worker, share in self.child.items()
            }
        )

    def _like(self, values: torch.Tensor) -> "AdditiveSharingTensor":
        return AdditiveSharingTensor.of(values, self.locations, self.field, self.crypto_provider)

    def shared_alike(self, other: Any, call: str) -> "AdditiveSharingTensor":
        """The other operand, shared among the same workers."""
        if isinstance(other, Integral):
            # 0.2.4 shares a vector with this one number.
            return self._like(torch.tensor([int(other)], device=self.device))
        if isinstance(other, torch.Tensor) and not other.is_floating_point():
            return self._like(other)
        if not isinstance(other, AdditiveSharingTensor):
            raise refusal(f"{call} of shared integers and {named(other)}", "share it, or fix both")
        if set(other.child) != set(self.child):
            raise ValueError(
                f"{call} of secrets that are shared among different workers: {sorted(map(str, self.child))} and "
                f"{sorted(map(str, other.child))}"
            )
        if other.field != self.field:
            raise ValueError(f"{call} of secrets in two fields: {self.field} and {other.field}")
        return other

    def add(self, other: Any) -> "AdditiveSharingTensor":
        return self.at_each(operator.add, self.shared_alike(other, "the sum"))

    def sub(self, other: Any) -> "AdditiveSharingTensor":
        return self.at_each(operator.sub, self.shared_alike(other, "the difference"))

    def mul(self, other: Any, operation: Any = operator.mul, swapped: bool = False) -> "AdditiveSharingTensor":
        """The product, or matrix product, with public integers."""
        if isinstance(other, AdditiveSharingTensor):
            raise refusal("the product of two secrets", TWO_SECRETS)
        if isinstance(other, torch.Tensor) and not other.is_floating_point():
            zero = bool((other == 0).any())
        elif isinstance(other, Integral):
            zero = other == 0
        else:
            raise refusal(f"the product of shared integers and {named(other)}", "take integers")

        def times(share: torch.Tensor) -> torch.Tensor:
            ours, theirs = (other, share) if swapped else (share, other)
            return ring.product(operation, ours, theirs, self.field)

        result = self.at_each(times)
        # Zero times a share is no longer secret: fresh shares of zero hide it.
        return result.add(result.zero()) if zero else result

    def matmul(self, other: Any, swapped: bool = False) -> "AdditiveSharingTensor":
        return self.mul(other, torch.matmul, swapped)

    def div(self, divisor: Any) -> "AdditiveSharingTensor":
        """The quotient by public integers, off by at most one."""
        if isinstance(divisor, AdditiveSharingTensor):
            raise refusal("the quotient of two secrets", TWO_SECRETS)
        if not isinstance(divisor, Integral) and not (
            isinstance(divisor, torch.Tensor) and not divisor.is_floating_point()
        ):
            raise refusal(f"the quotient of shared integers by {named(divisor)}", "take integers")
        if bool((torch.as_tensor(divisor) == 0).any()):
            raise ZeroDivisionError("the quotient of a shared secret by zero")
        if len(self.child) != 2:
            raise refusal(
                f"the quotient, or fixed-precision product, of a secret of {len(self.child)} workers",
                "two workers can do it, and products with integers work; call .get() first",
            )
        (one, first), (two, second) = self.child.items()
        field = self.field
        return self.made_of(
            {
                one: (-ring.cut(field - first.target(), divisor)) % field,
                two: ring.cut(second.target(), divisor) % field,
            }
        )

    def zero(self, shape: Any = None) -> "AdditiveSharingTensor":
        """Shares of zero."""
        size = tuple(self.shape if shape is None else shape)
        return self._like(torch.zeros(size, dtype=torch.int64, device=self.device))

    def refresh(self) -> "AdditiveSharingTensor":
        """New shares of the same secret."""
        return self.add(self.zero())
