"""Lossless conversion of a tree of plain data and tensors to JSON and arrays, and back.

A tree contains numbers, strings, None, bytes, tensors, lists, tuples (also named), dicts and dataclasses. The
checkpoint of a run is one such tree. A tensor that several branches share is stored once, and is shared again
after reading.
"""

import functools
from collections import abc
from dataclasses import fields, is_dataclass
from typing import Any, Dict, Iterable, List, NamedTuple, Set, Tuple, Union, get_type_hints

import numpy as np
import torch
from torch import Tensor

from fl_simu.kernel.parameters import to_arrays

Arrays = Dict[str, np.ndarray]


class Flat(NamedTuple):
    """A tree in two parts.

    Args:
        plain: JSON values, which refer to the arrays by name.
        arrays: the tensors, and byte strings as uint8; named by their paths in the tree.
    """

    plain: Any
    arrays: Arrays


def flatten(tree: Any, classes: Iterable[type]) -> Flat:
    """Split a tree into its two parts.

    Args:
        tree: the tree.
        classes: the dataclasses and named tuples that may occur; `unflatten` needs the same.

    Raises:
        TypeError: another class occurs.

    >>> unflatten(flatten({1: (2.5, float("inf"), b"ab", torch.ones(1))}, ()), ())
    {1: (2.5, inf, b'ab', tensor([1.]))}
    """
    arrays: Arrays = {}
    named = {cls: name for name, cls in _named(classes).items()}
    # Keeping a reference to each tensor prevents another one from getting the same id.
    known: Dict[int, Tuple[str, Tensor]] = {}

    def name_for(way: Tuple[str, ...]) -> str:
        name = "/".join(way) or "tree"
        while name in arrays:
            name += "'"
        return name

    def write(value: Any, way: Tuple[str, ...]) -> Any:
        if isinstance(value, Tensor):
            if id(value) not in known:
                name = name_for(way)
                known[id(value)] = name, value
                arrays.update(to_arrays({name: value}))
            return {"tensor": known[id(value)][0]}
        if isinstance(value, bytes):
            name = name_for(way)
            arrays[name] = np.frombuffer(value, np.uint8)
            return {"bytes": name}
        if is_dataclass(value) or hasattr(value, "_fields"):
            cls: Any = type(value)
            if cls not in named:
                raise TypeError(f"a state holds a {cls.__qualname__}, which its part does not name")
            members = {name: write(getattr(value, name), (*way, name)) for name in _hints(cls)}
            return {"class": named[cls], "fields": members}
        if isinstance(value, dict):
            return {"pairs": [[write(key, way), write(item, (*way, str(key)))] for key, item in value.items()]}
        if isinstance(value, tuple):
            return {"tuple": [write(item, (*way, str(at))) for at, item in enumerate(value)]}
        if isinstance(value, list):
            return [write(item, (*way, str(at))) for at, item in enumerate(value)]
        if isinstance(value, float):
            return {"float": value.hex()}
        return value

    return Flat(write(tree, ()), arrays)


def unflatten(flat: Flat, classes: Iterable[type]) -> Any:
    """The inverse of `flatten`.

    Args:
        flat: the result of `flatten`.
        classes: the same as for `flatten`.

    Raises:
        ValueError: `flat` has another form, names a class that is not in `classes`, has fields whose names or
            types do not match their class, or contains an array that nothing refers to.
    """
    known = _named(classes)
    tensors: Dict[str, Tensor] = {}
    used: Set[str] = set()

    def tensor(name: str) -> Tensor:
        used.add(name)
        if name not in tensors:
            tensors[name] = torch.from_numpy(np.array(flat.arrays[name]))
        return tensors[name]

    def raw(name: str) -> bytes:
        used.add(name)
        array = flat.arrays[name]
        if array.dtype != np.uint8 or array.ndim != 1:
            raise ValueError(f"no bytes: {name[:60]}")
        return array.tobytes()

    def read(item: Any) -> Any:
        if isinstance(item, list):
            return [read(entry) for entry in item]
        if not isinstance(item, dict):
            return item
        if set(item) == {"float"}:
            return float.fromhex(item["float"])
        if set(item) == {"tensor"}:
            return tensor(item["tensor"])
        if set(item) == {"bytes"}:
            return raw(item["bytes"])
        if set(item) == {"tuple"}:
            return tuple(read(entry) for entry in item["tuple"])
        if set(item) == {"pairs"}:
            return {read(key): read(entry) for key, entry in item["pairs"]}
        if set(item) == {"class", "fields"} and item["class"] in known:
            return build(known[item["class"]], {name: read(entry) for name, entry in item["fields"].items()})
        raise ValueError(f"not plain data: {sorted(item)}")

    try:
        found = read(flat.plain)
    except KeyError as error:
        raise ValueError(f"lacks the array {str(error)[:60]}") from None
    except (TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not plain data: {type(error).__name__}") from None
    unknown: List[str] = sorted(set(flat.arrays) - used)
    if unknown:
        raise ValueError(f"nothing tells of the array {unknown[0][:60]}")
    return found


def _named(classes: Iterable[type]) -> Dict[str, type]:
    """The classes by name; if several share a name, the later ones get a mark appended."""
    found: Dict[str, type] = {}
    for cls in classes:
        name = cls.__name__
        while found.get(name, cls) is not cls:
            name += "'"
        found[name] = cls
    return found


def build(cls: type, values: Dict[str, Any]) -> Any:
    """Build a dataclass or named tuple from values, whose names and types must match its fields.

    Raises:
        ValueError: they do not match.

    >>> from typing import NamedTuple, Tuple
    >>> Sent = NamedTuple("Sent", [("ue", int), ("times_s", Tuple[float, ...])])
    >>> build(Sent, {"ue": 3, "times_s": (1.0, 2)})
    Sent(ue=3, times_s=(1.0, 2))
    >>> build(Sent, {"ue": 3.5, "times_s": ()})
    Traceback (most recent call last):
    ValueError: Sent.ue is of another type
    """
    hints = _hints(cls)
    wrong = sorted(set(values) ^ set(hints))
    if wrong:
        raise ValueError(f"{cls.__name__} {'lacks' if wrong[0] in hints else 'has no'} {wrong[0][:60]}")
    for name, hint in hints.items():
        if not fits(values[name], hint):
            raise ValueError(f"{cls.__name__}.{name} is of another type")
    return cls(**values)


def fits(value: Any, hint: Any) -> bool:
    """Whether a value matches a type annotation. An int also counts as a float; a bool is not a number.

    >>> from typing import Dict, Optional, Tuple
    >>> fits({3: (1.5, None)}, Dict[int, Tuple[float, Optional[str]]])
    True
    >>> fits({3: (True, None)}, Dict[int, Tuple[float, Optional[str]]])
    False
    """
    kind: Any = getattr(hint, "__origin__", None)
    inner: Tuple[Any, ...] = getattr(hint, "__args__", ())
    if hint is Any:
        return True
    if kind is Union:
        return any(fits(value, one) for one in inner)
    if kind is tuple:
        if not isinstance(value, tuple):
            return False
        if inner[1:] == (...,):
            return all(fits(item, inner[0]) for item in value)
        return len(value) == len(inner) and all(map(fits, value, inner))
    if kind is list:
        return isinstance(value, list) and all(fits(item, inner[0]) for item in value)
    if kind in (dict, abc.Mapping):
        return isinstance(value, dict) and all(
            fits(key, inner[0]) and fits(item, inner[1]) for key, item in value.items()
        )
    if hint in (int, float):
        return isinstance(value, (int, float) if hint is float else int) and not isinstance(value, bool)
    return isinstance(value, hint)


@functools.lru_cache(maxsize=None)
def _hints(cls: type) -> Dict[str, Any]:
    names = [field.name for field in fields(cls)] if is_dataclass(cls) else cls._fields  # type: ignore[attr-defined]
    hints = get_type_hints(cls)
    return {name: hints[name] for name in names}
