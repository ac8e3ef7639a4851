"""Plain data as JSON and back, without loss: tuples (named too), dicts, infinities, frozen dataclasses."""

import functools
from collections import abc
from dataclasses import fields, is_dataclass
from typing import Any, Dict, Iterable, Tuple, Union, get_type_hints


def to_plain(value: Any) -> Any:
    """JSON's form of a value made of dataclasses, named tuples, dicts, tuples, lists, strings and numbers.

    >>> from_plain(to_plain({1: (2.5, float("inf"))}), ())
    {1: (2.5, inf)}
    """
    if is_dataclass(value) or hasattr(value, "_fields"):
        names = [field.name for field in fields(value)] if is_dataclass(value) else value._fields
        return {
            "class": type(value).__name__,
            "fields": {name: to_plain(getattr(value, name)) for name in names},
        }
    if isinstance(value, dict):
        return {"pairs": [[to_plain(key), to_plain(item)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [to_plain(item) for item in value]}
    if isinstance(value, list):
        return [to_plain(item) for item in value]
    if isinstance(value, float):
        return {"float": value.hex()}
    return value


def from_plain(plain: Any, classes: Iterable[type]) -> Any:
    """The inverse of `to_plain`.

    Args:
        plain: what `to_plain` gave.
        classes: the dataclasses and named tuples that may occur; any other is refused.

    Raises:
        ValueError: not a form that `to_plain` gives, a class that is not among `classes`, or one whose fields have
            other names or types than it says.
    """
    known = {cls.__name__: cls for cls in classes}

    def read(item: Any) -> Any:
        if isinstance(item, list):
            return [read(entry) for entry in item]
        if not isinstance(item, dict):
            return item
        if set(item) == {"float"}:
            return float.fromhex(item["float"])
        if set(item) == {"tuple"}:
            return tuple(read(entry) for entry in item["tuple"])
        if set(item) == {"pairs"}:
            return {read(key): read(entry) for key, entry in item["pairs"]}
        if set(item) == {"class", "fields"} and item["class"] in known:
            return build(known[item["class"]], {name: read(entry) for name, entry in item["fields"].items()})
        raise ValueError(f"not plain data: {sorted(item)}")

    try:
        return read(plain)
    except (TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not plain data: {type(error).__name__}") from None


def build(cls: type, values: Dict[str, Any]) -> Any:
    """A dataclass or named tuple of these values, whose names and types must be those of its fields.

    Raises:
        ValueError: they are not.

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
    """Whether a value is of a type as annotations write it. A whole number is a float too; a bool is no number.

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
