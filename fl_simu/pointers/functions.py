"""The functions of torch that a worker in another process may run, by their names in torch.

All of them are functions that torch lets subclasses of Tensor override, so none loads, saves or compiles anything.
"""

import functools
import warnings
from typing import Any, Callable, Dict

import torch

from fl_simu.pointers.native import PREFIX

# The only methods with leading underscores that are allowed.
OPERATORS = frozenset(
    f"__{prefix}{name}__"
    for prefix in ("", "r", "i")
    for name in (
        "add", "sub", "mul", "div", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor",
        "lshift", "rshift",
    )
) | {
    f"__{name}__"
    for name in (
        "eq", "ne", "lt", "le", "gt", "ge", "invert", "getitem", "setitem", "len", "bool", "int", "float",
        "contains", "reversed",
    )
}  # fmt: skip
# Names that begin like this are excluded: packed weights and other libraries' kernels trust their arguments.
KERNELS = ("fbgemm", "miopen", "cudnn", "quantize", "q_", "fused", "fake_quant", "as_strided", "module_load")
# Attributes that can be set; torch lists only their getters.
SETTERS = ("data", "grad", "requires_grad")


def _of_torch(name: str, func: Callable) -> str:
    """torch's own name for a function, also where a hook's name, such as `native_add`, is found first."""
    plain = name.replace(f".{PREFIX}", ".", 1)
    thing: Any = torch
    for part in plain.split(".")[1:]:
        thing = getattr(thing, part, None)
    return plain if thing == func else name


def _is_plain(name: str) -> bool:
    parts = name.split(".")
    if parts[-1] == "__get__":
        parts.pop()
    if parts[:2] == ["torch", "Tensor"] and parts[-1].startswith(PREFIX):
        return False
    return parts[-1] in OPERATORS or not parts[-1].startswith(("_", *KERNELS))


@functools.lru_cache(None)
def by_name() -> Dict[str, Callable]:
    """Name -> function: "torch.add", "torch.Tensor.add", "torch.nn.functional.linear"."""
    # The legacy stack's torch has no such module.
    from torch.overrides import get_testing_overrides, resolve_name

    found: Dict[str, Callable] = {}
    with warnings.catch_warnings():
        # torch looks up each of its own names here and warns about deprecated ones.
        warnings.simplefilter("ignore")
        named = [(resolve_name(func), func) for func in get_testing_overrides()]
    for given, func in named:
        name = _of_torch(given, func) if given else ""
        if name and _is_plain(name):
            found.setdefault(name, func)
    for name in SETTERS:
        found[f"torch.Tensor.{name}.__set__"] = getattr(torch.Tensor, name).__set__
    return found


@functools.lru_cache(None)
def _names() -> Dict[Any, str]:
    return {func: name for name, func in by_name().items()}


def name_of(func: Callable) -> str:
    """The name of a function; empty if workers in other processes do not run it."""
    return _names().get(func, "")
