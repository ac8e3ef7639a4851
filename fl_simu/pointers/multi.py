"""Multi-pointers: one tensor at several workers, with every operation run at each of them."""

from typing import Any, Callable, Dict, Iterable, List

from fl_simu.pointers.ids import ID_PROVIDER
from fl_simu.pointers.local import local_worker
from fl_simu.pointers.wrappers import Wrapper, wrapped


class MultiPointerTensor:
    """Pointers by the id of their worker; `child` of a wrapper.

    Args:
        children: pointers, or wrappers around them.
    """

    is_wrapper = False
    tags = description = None

    def __init__(self, owner: Any = None, id: Any = None, children: Iterable[Any] = (), **_: Any) -> None:
        self.owner = owner or local_worker()
        self.id = ID_PROVIDER.pop() if id is None else id
        self.child: Dict[Any, Any] = {child.location.id: child for child in children}

    def __str__(self) -> str:
        return "[MultiPointerTensor]" + "".join(f"\n\t-> {child}" for child in self.child.values())

    __repr__ = __str__

    @property
    def shape(self) -> Any:
        return next(iter(self.child.values())).shape

    @property
    def grad(self) -> Any:
        """Bare pointers to the gradients, by worker; None if no worker has a gradient."""
        grads = {worker: child.grad for worker, child in self.child.items()}
        found = {worker: None if grad is None else grad.child for worker, grad in grads.items()}
        return found if any(grad is not None for grad in found.values()) else None

    def wrap(self, **_: Any) -> Wrapper:
        return wrapped(self)

    def get(self, sum_results: bool = False) -> Any:
        """Fetch the tensors from all workers, which no longer hold them; return a list, or their sum."""
        results = [child.get() for child in self.child.values()]
        return sum(results) if sum_results else results

    def virtual_get(self, sum_results: bool = False) -> Any:
        """Like `get`, but the workers keep the tensors."""
        results = [getattr(child, "child", child).target() for child in self.child.values()]
        return sum(results) if sum_results else results

    def run(self, func: Callable, args: Any, kwargs: Dict[str, Any]) -> Any:
        """Run a function at each worker."""
        results = {
            worker: func(*_at(args, worker), **{key: _at(value, worker) for key, value in kwargs.items()})
            for worker in self.child
        }
        return _gathered(results)


def _at(value: Any, worker: Any) -> Any:
    """An argument for one worker: of a multi-pointer, the pointer to that worker."""
    if isinstance(value, Wrapper) and isinstance(value.child, MultiPointerTensor):
        child = value.child.child[worker]
        return child if isinstance(child, Wrapper) else wrapped(child)
    if type(value) in (tuple, list):
        return type(value)(_at(one, worker) for one in value)
    return value


def _gathered(results: Dict[Any, Any]) -> Any:
    first = next(iter(results.values()))
    if isinstance(first, Wrapper):
        gathered = MultiPointerTensor()
        gathered.child = {worker: result.child for worker, result in results.items()}
        return wrapped(gathered)
    if isinstance(first, (tuple, list)):
        parts: List[Any] = list(zip(*results.values()))
        return [_gathered(dict(zip(results, part))) for part in parts]
    return first


def combine_pointers(*pointers: Any) -> Wrapper:
    """Combine pointers to several workers into one multi-pointer."""
    return wrapped(MultiPointerTensor(children=pointers))
