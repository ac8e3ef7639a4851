"""The traces of a 0.2.4 hook on torch: `native_` names, `torch_hooked`, and `torch.tensor` with owner and id."""

import functools
import sys
from types import ModuleType
from typing import Any, Callable, Dict

import torch
from torch.nn import functional

from fl_simu.pointers.ids import label_of
from fl_simu.pointers.local import local_worker

PREFIX = "native_"


def leave_names() -> None:
    """Must be called before anything is added to torch.Tensor."""
    torch.torch_hooked = True  # type: ignore[attr-defined]
    originals: Dict[str, Callable] = {"tensor": torch.tensor}
    torch.tensor = _with_owner(torch.tensor)
    sys.modules["torch.jit._builtins"]._register_builtin(torch.tensor, "aten::tensor")
    for name in dir(torch.Tensor):
        member = getattr(torch.Tensor, name)
        if (callable(member) and not isinstance(member, type)) or name in ("data", "grad", "shape"):
            setattr(torch.Tensor, PREFIX + name, member)
    # Looked up on access, since TorchScript identifies a function by the last name that the module has for it.
    for module in (torch, torch.functional, functional):
        _look_up(module, originals)


def _with_owner(native: Callable) -> Callable:
    @functools.wraps(native)
    def tensor(*args: Any, owner: Any = None, id: Any = None, register: bool = True, **kwargs: Any) -> Any:
        new = native(*args, **kwargs)
        if id is not None:
            label_of(new).id = id
        if owner is not None:
            label_of(new).owner = owner
        holder = owner or local_worker()
        if register and holder is not None:
            # A client does not register it.
            holder.register_obj(new)
        return new

    return tensor


def _look_up(module: ModuleType, originals: Dict[str, Callable]) -> None:
    otherwise = vars(module).get("__getattr__")

    def missing(name: str) -> Any:
        if name.startswith(PREFIX):
            original = name[len(PREFIX) :]
            found = originals.get(original) if module is torch else None
            found = found or vars(module).get(original)
            if callable(found):
                return found
        if otherwise is not None:
            return otherwise(name)
        raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'")

    vars(module)["__getattr__"] = missing
