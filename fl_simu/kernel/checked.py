"""Frozen dataclasses and the plain values of a config: build one from the other, check it, write it out."""

import dataclasses
import functools
import re
from contextlib import contextmanager
from typing import Any, Dict, Iterable, Iterator, Mapping, Type

import pydantic
from typing_extensions import get_type_hints

from fl_simu.kernel.errors import BadField, UserError, brief, nearest, shown

# Pydantic's names for types, which can appear in the path of an error but are not field names.
TYPE = re.compile(r"(float|int|str|bool|none)$|.*\[")


def make(cls: Any, arguments: Mapping[str, Any], prefix: str) -> Any:
    """Build a frozen dataclass from plain values, checked by type (pydantic) and by value (the class).

    Args:
        cls: the dataclass.
        arguments: its fields, as in TOML.
        prefix: prepended to the field names in messages.

    Raises:
        UserError: a field is unknown, or a value is not allowed.
    """
    schema = _schema(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    parts = {key: arguments[key] for key in arguments if key in names and key not in schema.model_fields}
    values = {key: tuples(value) for key, value in arguments.items() if key not in parts}
    try:
        checked = schema.model_validate(values)
    except pydantic.ValidationError as error:
        raise UserError(explain(error, prefix, names)) from None
    with told_of(prefix, names):
        return cls(**{key: getattr(checked, key) for key in schema.model_fields}, **parts)


def check(instance: Any, prefix: str = "") -> None:
    """Check the types and bounds of a dataclass's fields, except those that hold parts.

    Raises:
        UserError: a value is not allowed.
    """
    cls: Any = type(instance)
    schema = _schema(cls)
    try:
        schema.model_validate({name: getattr(instance, name) for name in schema.model_fields})
    except pydantic.ValidationError as error:
        raise UserError(explain(error, prefix, schema.model_fields)) from None


def plain(part: Any) -> Dict[str, Any]:
    """The fields of a frozen dataclass as TOML values: lists instead of tuples, and no entry for None."""
    return {
        field.name: lists(getattr(part, field.name))
        for field in dataclasses.fields(part)
        if getattr(part, field.name) is not None
    }


@contextmanager
def told_of(prefix: str, part: Any) -> Iterator[None]:
    """Add the table's name to a BadField error that is raised inside for one of the part's fields.

    Args:
        prefix: prepended to the field name.
        part: a dataclass, or a list of its field names.
    """
    names = part if isinstance(part, list) else [field.name for field in dataclasses.fields(part)]
    try:
        yield
    except BadField as error:
        if error.field not in names:
            raise
        raise BadField(prefix + error.field, error.value, error.allowed) from None


def explain(error: pydantic.ValidationError, prefix: str, known: Iterable[str]) -> str:
    """Pydantic's first error in one line: the field, its value, and the allowed values."""
    first = error.errors(include_url=False)[0]
    # If a value may have several types, pydantic's path includes the type that it tried.
    steps = [step for step in map(str, first["loc"]) if not TYPE.match(step)]
    field = prefix + brief(".".join(map(brief, steps)))
    if first["type"] == "extra_forbidden":
        return f"{field} is no known key: {nearest(str(first['loc'][-1]), known)}"
    if first["type"] == "model_type":
        return f"{field} = {shown(first['input'])} is not allowed: a table"
    # TOML has lists, the parts have tuples.
    allowed = (first["msg"][0].lower() + first["msg"][1:]).replace("tuple", "list")
    return f"{field} = {shown(lists(first['input']))} is not allowed: {allowed}"


@functools.lru_cache(maxsize=None)
def _schema(cls: Any) -> Type[pydantic.BaseModel]:
    """A strict pydantic model of a dataclass's fields, except those that hold parts."""
    own = [field for field in dataclasses.fields(cls) if field.init and "part" not in field.metadata]
    written_out = {field.name: field.type for field in own}
    hints = get_type_hints(cls, include_extras=True) if str in map(type, written_out.values()) else written_out
    fields: Dict[str, Any] = {
        field.name: (hints[field.name], ... if field.default is dataclasses.MISSING else field.default)
        for field in own
    }
    strict = pydantic.ConfigDict(extra="forbid", strict=True)
    return pydantic.create_model(cls.__name__, __config__=strict, **fields)


def tuples(value: Any) -> Any:
    """Convert lists to tuples, recursively."""
    return tuple(tuples(item) for item in value) if isinstance(value, list) else value


def lists(value: Any) -> Any:
    """Convert tuples to lists, recursively, and drop None from tables."""
    if isinstance(value, dict):
        return {key: lists(item) for key, item in value.items() if item is not None}
    return [lists(item) for item in value] if isinstance(value, (list, tuple)) else value
