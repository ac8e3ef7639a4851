"""Plain data as JSON and back, without loss: tuples (named too), dicts, infinities, frozen dataclasses."""

from dataclasses import fields, is_dataclass
from typing import Any, Iterable


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
        ValueError: not a form that `to_plain` gives, or a class that is not among `classes`.
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
            return known[item["class"]](**{name: read(entry) for name, entry in item["fields"].items()})
        raise ValueError(f"not plain data: {sorted(item)}")

    return read(plain)
