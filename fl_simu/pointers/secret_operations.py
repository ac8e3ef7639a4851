"""Operations of torch on fixed-precision and shared numbers: either done, or refused by name.

The classes of secrets do the arithmetic. Other linear operations, and those that only change the shape, run on the
integers, or at each worker on its shares.
"""

from typing import Any, Callable, Dict, List, Tuple

import torch

from fl_simu.pointers.fixed_precision import FixedPrecisionTensor
from fl_simu.pointers.refusals import Operators, refusal
from fl_simu.pointers.sharing import AdditiveSharingTensor

ARITHMETIC = {"add", "sub", "mul", "div", "matmul"}
OTHER_NAMES = {
    "true_divide": "div", "truediv": "div", "mm": "matmul", "subtract": "sub", "multiply": "mul", "radd": "add",
    "rmul": "mul", "negative": "neg",
}  # fmt: skip
LINEAR = {
    "T", "cat", "chunk", "concat", "contiguous", "cpu", "cumsum", "diag", "expand", "flatten", "flip", "getitem",
    "index_select", "narrow", "permute", "repeat", "reshape", "roll", "select", "split", "squeeze", "stack", "sum",
    "t", "to", "transpose", "unbind", "unsqueeze", "view",
}  # fmt: skip
WORKS = (
    "sums, differences, products with public numbers, and what changes the shape, work; for the rest call .get() "
    "and .float_precision() first"
)


def called_name(func: Callable) -> Tuple[str, bool]:
    """The name under which a function of torch is called, and whether it works in place."""
    name = getattr(func, "__name__", str(func))
    if name == "__get__":
        name = getattr(getattr(func, "__self__", None), "__name__", name)
    return name, _is_in_place(name)


def _is_in_place(called: str) -> bool:
    return called.endswith("_") and not called.startswith("_")


def act(func: Callable, called: str, args: Any, kwargs: Dict[str, Any]) -> Any:
    """Run an operation and return its result without a wrapper.

    Args:
        func, called: the function, and its name.
        args, kwargs: its arguments; secrets come without their wrappers.

    Raises:
        NotImplementedError: workers that can only add cannot do it.
    """
    name = called.strip("_")
    name = OTHER_NAMES.get(name, name)
    if name in ARITHMETIC and len(args) == 2 and not kwargs:
        return _arithmetic(name, *args)
    if name == "rsub":
        return args[0].mul(-1).add(args[1])
    if name == "neg":
        return args[0].mul(-1)
    if name in LINEAR and not _is_in_place(called):
        return _at_each_share(func, args, kwargs)
    if name == "mean":
        total = _at_each_share(torch.sum, args, kwargs)
        return total.div(args[0].shape.numel() // max(1, total.shape.numel()))
    raise refusal(f"{called.strip('_')}{'_' if _is_in_place(called) else ''}() of a secret", WORKS)


def _arithmetic(name: str, ours: Any, theirs: Any) -> Any:
    if isinstance(ours, Operators):
        return getattr(ours, name)(theirs)
    if isinstance(theirs, FixedPrecisionTensor):
        # This raises an error that says what is missing.
        return getattr(theirs, name)(ours)
    if name == "sub":
        return theirs.mul(-1).add(ours)
    if name == "div":
        raise refusal("the quotient by a secret", "a secret divided by a public number works")
    return theirs.matmul(ours, swapped=True) if name == "matmul" else getattr(theirs, name)(ours)


def _found(values: Any) -> List[Any]:
    if isinstance(values, (tuple, list)):
        return [one for value in values for one in _found(value)]
    return [values] if isinstance(values, Operators) else []


def _replaced(values: Any, held: Dict[int, Any]) -> Any:
    if type(values) in (tuple, list):
        return type(values)([_replaced(one, held) for one in values])
    return held.get(id(values), values)


def _at_each_share(func: Callable, args: Any, kwargs: Dict[str, Any]) -> Any:
    secrets = _found(args)
    fixed = secrets[0] if isinstance(secrets[0], FixedPrecisionTensor) else None
    children = secrets if fixed is None else [fixed.alike(secret, func.__name__).child for secret in secrets]
    first = children[0]
    if len({isinstance(child, AdditiveSharingTensor) for child in children}) > 1:
        raise refusal(f"{func.__name__}() of shared numbers and others", "share them all first")

    def done(values: List[Any]) -> Any:
        held = {id(secret): value for secret, value in zip(secrets, values)}
        return func(*_replaced(args, held), **kwargs)

    if isinstance(first, AdditiveSharingTensor):
        for child in children[1:]:
            first.shared_alike(child, func.__name__)
        results = {worker: done([child.child[worker].target() for child in children]) for worker in first.child}
        result = _gathered(first, results)
    else:
        result = done(children)
    if fixed is None:
        return result
    if isinstance(result, (tuple, list)):
        return [fixed.with_child(one) for one in result]
    return fixed.with_child(result)


def _gathered(like: AdditiveSharingTensor, results: Dict[Any, Any]) -> Any:
    """One sharing made of the workers' results, or a list of them."""
    one = next(iter(results.values()))
    if isinstance(one, (tuple, list)):
        return [_gathered(like, dict(zip(results, parts))) for parts in zip(*results.values())]
    return like.made_of({worker: result % like.field for worker, result in results.items()})
