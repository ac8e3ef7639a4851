"""The values of a config: reads TOML and applies `--set`. Their meaning is defined in `experiment`."""

import sys
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping

from fl_simu.kernel.errors import UserError, brief, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

# More than any experiment needs. A parser's time is quadratic in the number of parts of a dotted key.
MOST_BYTES, MOST_DOTS, DEEPEST = 2**20, 200, 20


def read(path: Path) -> Dict[str, Any]:
    """The values of a TOML file.

    Raises:
        UserError: the file is missing, is not valid TOML, or exceeds what any experiment needs.
    """
    try:
        with open(str(path), "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise UserError(f"{path} is no config: it holds over {MOST_BYTES:,} bytes")
    try:
        return _loads(data.decode())
    except ValueError as error:
        raise UserError(f"{path} is no valid TOML: {brief(str(error), 120)}") from None


def _loads(text: str) -> Dict[str, Any]:
    """The values of a TOML document.

    Raises:
        ValueError: it is not valid TOML, or exceeds what any experiment needs.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > MOST_DOTS and not line.lstrip().startswith("#"):
            raise ValueError(f"over {MOST_DOTS} dots (at line {number})")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise ValueError("nested too deep") from None
    except ValueError:  # from Python, which parses no longer number
        raise ValueError("a number of over 4,300 digits") from None
    _require_shallow(values)
    return values


def _require_shallow(values: Any) -> None:
    """Raise ValueError if tables and lists are nested too deep. This function does not recurse."""
    level, depth = [values], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise ValueError("nested too deep")
        tables = (one.values() if isinstance(one, dict) else one for one in level)
        level = [item for table in tables for item in table if isinstance(item, (dict, list))]


def override(values: Mapping[str, Any], assignments: Iterable[str]) -> Dict[str, Any]:
    """The values after `a.b=c` assignments; `c` is parsed as TOML, or else taken as a string.

    >>> override({"codec": "float32"}, ["seed=3", "codec.name=affine", "codec.base_bits=2"])
    {'codec': {'name': 'affine', 'base_bits': 2}, 'seed': 3}
    """
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in values.items()}
    for assignment in assignments:
        if any("\ud800" <= letter <= "\udfff" for letter in assignment):
            raise UserError(f"--set {shown(assignment)} is not allowed: it is no UTF-8")
        path, equals, text = assignment.partition("=")
        keys = path.strip().split(".")
        if not equals or not all(keys) or len(keys) > 2:
            raise UserError(f"--set {brief(assignment)} is not allowed: write KEY=VALUE or TABLE.KEY=VALUE")
        value = _toml_value(text.strip())
        if len(keys) == 1:
            result[keys[0]] = value
            continue
        table = result.get(keys[0], {})
        table = {"name": table} if isinstance(table, str) else table
        if not isinstance(table, dict):
            raise UserError(f"--set {brief(assignment)} is not allowed: {keys[0]} is no table")
        # Another part has other arguments, so those of the previous part are dropped.
        kept = {} if keys[1] == "name" and table.get("name") != value else table
        result[keys[0]] = {**kept, keys[1]: value}
    return result


def part_table(text: str, option: str) -> Dict[str, Any]:
    """A part's table from a command-line option: a name, or an inline TOML table.

    Args:
        text: the option's value.
        option: the option as the user writes it.

    Raises:
        UserError: the table is not valid TOML.

    >>> part_table("torch", "--backend"), part_table('{name = "torch", exact = true}', "--backend")
    ({'name': 'torch'}, {'name': 'torch', 'exact': True})
    """
    if not text.startswith("{"):
        return {"name": text}
    try:
        return _loads("value = " + text)["value"]
    except ValueError as error:
        raise UserError(f"{option} {shown(text)} is not allowed: {brief(str(error), 120)}") from None


def _toml_value(text: str) -> Any:
    try:
        return _loads("value = " + text)["value"]
    except tomllib.TOMLDecodeError:
        return text
    except ValueError as error:
        raise UserError(f"--set VALUE = {shown(text)} is not allowed: {brief(str(error))}") from None


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> List[str]:
    """The keys in which the values of two configs differ."""
    return [key for key in sorted(set(one) | set(other)) if one.get(key) != other.get(key)]
