"""One experiment, described and checked: what a TOML file says, before any part is built.

A part (codec, channel, ...) is a table with a `name` and the arguments of the class behind that name; a string
alone is short for a table with only the name, and a table without a name keeps the default one. What the names
mean is known to `assemble`.
"""

import difflib
import sys
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional

import pydantic
import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from fl_simu.kernel.errors import UserError, brief, shown
from fl_simu.kernel.limits import MOST, MOST_UES

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Part = Dict[str, Any]

# More than any experiment needs. A parser takes as long as the square of the parts of a dotted key.
MOST_BYTES, MOST_DOTS, DEEPEST = 2**20, 200, 20

# What a signed 64-bit integer holds, which is what TOML promises.
LARGEST_SEED = 2**63 - 1


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Training(_Table):
    """Local training of every UE.

    Fields:
        epochs: passes over a UE's samples in a round.
        batch_size: samples a step.
        keep_optimizer_state: whether momentum and moments outlive a round.
        drop_last: whether an epoch leaves out what does not fill a batch.
    """

    epochs: int = Field(1, ge=1, le=MOST)
    batch_size: int = Field(64, ge=1, le=2**31)
    keep_optimizer_state: bool = False
    drop_last: bool = False


class Experiment(_Table):
    """Everything that decides the result of a run.

    Fields:
        name: of the run; part of its folder's name.
        seed: of every draw.
        rounds: number of aggregations.
        ues: number of UEs.
        ues_per_round: UEs drawn for each round; all of them where it is not given.
        threads: threads of torch. Sums of another number of threads may differ in the last bit.
        payload: what is encoded, the "weights" or the "update" (weights minus the global model).
        error_feedback: whether a UE adds to its update what the codec lost of its last accepted upload.
        training: local training.
        backend ... attack: one part each.
    """

    name: str = Field("experiment", max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    seed: int = Field(1, ge=0, le=LARGEST_SEED)
    rounds: int = Field(10, ge=1, le=10**9)
    ues: int = Field(16, ge=1, le=MOST_UES)
    ues_per_round: Optional[int] = Field(None, ge=1)
    # A number of threads that the system cannot start ends torch with a segmentation fault.
    threads: int = Field(1, ge=1, le=256)
    payload: str = "weights"
    error_feedback: bool = False
    training: Training = Training()
    backend: Part = {"name": "auto"}
    data: Part = {"name": "mnist"}
    partition: Part = {"name": "iid"}
    model: Part = {"name": "mnist_cnn"}
    optimizer: Part = {"name": "sgd"}
    compute: Part = {"name": "constant"}
    faults: Part = {"name": "none"}
    codec: Part = {"name": "float32"}
    bits: Part = {"name": "fixed"}
    size: Part = {"name": "bytes"}
    channel: Part = {"name": "normal"}
    delay: Part = {"name": "integrated"}
    downlink: Part = {"name": "free"}
    protocol: Part = {"name": "wait_for_all"}
    aggregation: Part = {"name": "mean"}
    attack: Part = {"name": "none"}

    @property
    def drawn(self) -> int:
        """Number of UEs that a round draws."""
        return self.ues_per_round or self.ues


PARTS = tuple(name for name, info in Experiment.model_fields.items() if info.annotation == Part)


def parse(values: Mapping[str, Any]) -> Experiment:
    """The experiment that a TOML document describes.

    Raises:
        UserError: an unknown key, a wrong type, or a number out of range; one line that names it.
    """
    try:
        return Experiment.model_validate({key: _as_part(key, value) for key, value in values.items()})
    except pydantic.ValidationError as error:
        raise UserError(explain(error, "", Experiment.model_fields)) from None


def _as_part(key: str, value: Any) -> Any:
    if key not in PARTS:
        return value
    if isinstance(value, str):
        return {"name": value}
    part = dict(Experiment.model_fields[key].default, **value) if isinstance(value, dict) else None
    if part is None or not isinstance(part["name"], str):
        raise UserError(f"{key} = {shown(value)} is not allowed: a name, or a table with a name")
    return part


def read(path: Path) -> Dict[str, Any]:
    """The values of a TOML file.

    Raises:
        UserError: the file is missing, is no TOML, or holds more than any experiment needs.
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
        ValueError: it is none, or holds what no experiment needs.
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
    except ValueError:  # of Python, which reads no longer number
        raise ValueError("a number of over 4,300 digits") from None
    _require_shallow(values)
    return values


def _require_shallow(values: Any) -> None:
    """Raise ValueError for tables and lists that are nested too deep, without going in deep oneself."""
    level, depth = [values], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise ValueError("nested too deep")
        tables = (one.values() if isinstance(one, dict) else one for one in level)
        level = [item for table in tables for item in table if isinstance(item, (dict, list))]


def override(values: Mapping[str, Any], assignments: Iterable[str]) -> Dict[str, Any]:
    """The values with `a.b=c` assignments carried out; `c` is read as TOML, or else as a string.

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
        # Another part has other arguments: those of the part that stood here before do not carry over.
        kept = {} if keys[1] == "name" and table.get("name") != value else table
        result[keys[0]] = {**kept, keys[1]: value}
    return result


def _toml_value(text: str) -> Any:
    try:
        return _loads("value = " + text)["value"]
    except tomllib.TOMLDecodeError:
        return text
    except ValueError as error:
        raise UserError(f"--set VALUE = {shown(text)} is not allowed: {brief(str(error))}") from None


def to_plain(experiment: Experiment) -> Dict[str, Any]:
    """The experiment as TOML values, without the fields that are not given."""
    return _plain(experiment.model_dump())


def to_toml(experiment: Experiment) -> str:
    """The experiment as a TOML document; parsing it gives the same experiment."""
    return tomli_w.dumps(to_plain(experiment))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items() if item is not None}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def differences(one: Experiment, other: Experiment) -> List[str]:
    """Names of the fields in which two experiments differ."""
    left, right = to_plain(one), to_plain(other)
    return [key for key in sorted(set(left) | set(right)) if left.get(key) != right.get(key)]


def nearest(name: str, known: Iterable[str]) -> str:
    """A phrase that helps with an unknown name: the nearest known one, or all of them.

    >>> nearest("affin", ["affine", "float32"])
    "did you mean 'affine'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name)[:100], names, n=1)
    return f"did you mean {close[0]!r}?" if close else "known are " + (", ".join(names) or "none")


def explain(error: pydantic.ValidationError, prefix: str, known: Iterable[str]) -> str:
    """The first complaint of pydantic in one line: field, value, what is allowed."""
    first = error.errors(include_url=False)[0]
    field = prefix + brief(".".join(brief(str(step)) for step in first["loc"]))
    if first["type"] == "extra_forbidden":
        names = Training.model_fields if first["loc"][0] == "training" else known
        return f"{field} is no known key: {nearest(str(first['loc'][-1]), names)}"
    if first["type"] == "missing":
        return f"{field} is missing, and has no default"
    if first["type"] == "model_type":
        return f"{field} = {shown(first['input'])} is not allowed: a table"
    # TOML has lists where the parts have tuples.
    allowed = (first["msg"][0].lower() + first["msg"][1:]).replace("tuple", "list")
    return f"{field} = {shown(first['input'])} is not allowed: {allowed}"
