"""Habits of scripts of 2019 and 2020 that today's torch, torchvision, numpy or Python refuses.

`exec` makes them work in its own process and reports each on stderr. Whatever still works stays unchanged.
"""

import collections
import collections.abc
import enum
import functools
import hashlib
import importlib
import importlib.util
import inspect
import io
import math
import os
import pickle
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, Callable, Dict, Optional, Set

import numpy as np
import torch
from torch.utils.data import dataloader

try:
    from PIL import Image
except ImportError:  # then none of its names can be missing
    Image = None  # type: ignore[assignment]

from fl_simu.old_scripts import compiler, draws, torchvision_parts
from fl_simu.old_scripts.notices import tell

# Module -> removed name -> the former value.
GONE: Dict[ModuleType, Dict[str, Any]] = {
    np: {
        "float": float, "int": int, "bool": bool, "object": object, "str": str, "long": int, "complex": complex,
        "float_": np.float64, "Inf": math.inf, "Infinity": math.inf, "infty": math.inf, "NaN": math.nan,
        "product": np.prod, "cumproduct": np.cumprod, "alltrue": np.all, "sometrue": np.any,
        "asscalar": lambda array: array.item(),
    },
    collections: {
        name: getattr(collections.abc, name)
        for name in ("Callable", "Iterable", "Iterator", "Mapping", "MutableMapping", "Sequence", "Set", "Sized")
    },
    time: {"clock": time.perf_counter},
}  # fmt: skip
if Image is not None:
    _filters: Any = getattr(Image, "Resampling", Image)
    GONE[Image] = {"ANTIALIAS": _filters.LANCZOS, "LINEAR": _filters.BILINEAR, "CUBIC": _filters.BICUBIC}


def meet(data_dir: Optional[Path] = None, limit: Optional[int] = None, todays_draws: bool = False) -> None:
    """Make all of these habits work in this process.

    Args:
        data_dir: folder to search for data sets first.
        limit: use only this many images of each torchvision data set.
        todays_draws: keep the random numbers of this torch.
    """
    for module, gone in GONE.items():
        _give_back(module, gone)
    _give_back_next()
    _give_back_six()
    _print_numbers_as_numpy_1()
    _trust_own_files()
    torchvision_parts.give(data_dir, limit, tell)
    compiler.keep_out()
    if not todays_draws:
        draws.as_in_1_4(tell)


def _give_back(module: ModuleType, gone: Dict[str, Any]) -> None:
    native: Optional[Callable] = vars(module).get("__getattr__")

    def missing(name: str) -> Any:
        if name in gone:
            tell(f"{module.__name__}.{name} is gone; it stands for {_name(gone[name])}")
            return gone[name]
        if native is not None:
            return native(name)
        raise AttributeError(f"module '{module.__name__}' has no attribute '{name}'")

    vars(module)["__getattr__"] = missing


def _name(value: Any) -> str:
    if isinstance(value, enum.Enum):
        return f"{value.__module__}.{value.name}"
    name = getattr(value, "__name__", repr(value))
    module = getattr(value, "__module__", None)
    return name if module in (None, "builtins", __name__) else f"{module}.{name}"


def _give_back_next() -> None:
    iterator: Any = dataloader._BaseDataLoaderIter
    if hasattr(iterator, "next"):
        return

    def following(self: Any) -> Any:
        tell("iterator.next() of a DataLoader is gone; it stands for next(iterator)")
        return next(self)

    iterator.next = following


def _give_back_six() -> None:
    if importlib.util.find_spec("torch._six") is None:
        six = sys.modules["torch._six"] = ModuleType("torch._six")
        vars(six).update(
            string_classes=(str, bytes), int_classes=int, container_abcs=collections.abc, inf=math.inf
        )


def _print_numbers_as_numpy_1() -> None:
    """Print 0.5 in a list or a dict as before; numpy 2 prints np.float64(0.5)."""
    if int(np.__version__.split(".")[0]) >= 2:
        np.set_printoptions(legacy="1.25")  # type: ignore[arg-type]


def _trust_own_files() -> None:
    """Let torch.load, by default for weights only, load a complete model that this process itself saved."""
    save, load = torch.save, torch.load
    if "weights_only" not in inspect.signature(load).parameters:
        return
    written: Set[str] = set()

    @functools.wraps(save)
    def saving(obj: Any, f: Any, *args: Any, **kwargs: Any) -> None:
        save(obj, f, *args, **kwargs)
        written.update(_known_by(f))

    @functools.wraps(load)
    def loading(f: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return load(f, *args, **kwargs)
        except pickle.UnpicklingError:
            if "weights_only" in kwargs or written.isdisjoint(_known_by(f)):
                raise
            name = f if isinstance(f, (str, os.PathLike)) else getattr(f, "name", "a buffer")
            tell(f"torch.load takes more than weights out of {name}, which this script saved itself")
            if hasattr(f, "seek"):
                f.seek(0)
            return load(f, *args, **dict(kwargs, weights_only=False))

    torch.save, torch.load = saving, loading


def _known_by(file: Any) -> Set[str]:
    """The identity of a file: its path, or a hash of a buffer's contents."""
    if isinstance(file, io.BytesIO):
        return {hashlib.sha256(file.getbuffer()).hexdigest()}
    path = file if isinstance(file, (str, os.PathLike)) else getattr(file, "name", None)
    return {os.path.realpath(path)} if isinstance(path, (str, os.PathLike)) else set()
