"""Studies: many experiments that differ along named axes, each with several seeds, described by one TOML file.

A folder below experiments/ holds `study.toml`: what all runs share (`experiment`), the `axes` with their levels,
and the `seeds`. A level is a part of an experiment that is laid over what the axes before it gave. A text that
begins with "= " is the value of another key, as "= protocol.receive_s".
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Tuple

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from fl_simu import config
from fl_simu.config import Experiment
from fl_simu.kernel.errors import UserError

FOLDER = Path(__file__).resolve().parent.parent / "experiments"
FILE = "study.toml"

Table = Mapping[str, Any]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Quick(_Strict):
    """What a quick size changes."""

    experiment: Dict[str, Any] = {}
    seeds: List[int] = []
    target_accuracy: Optional[float] = Field(None, gt=0, le=1)


class _File(_Strict):
    """What study.toml holds."""

    title: str
    seeds: List[int] = Field(min_length=1)
    target_accuracy: float = Field(gt=0, le=1)
    experiment: Dict[str, Any]
    axes: Dict[str, Dict[str, Dict[str, Any]]] = Field(min_length=1)
    quick: _Quick = _Quick()


@dataclass(frozen=True)
class Study:
    """Experiments to be seen together.

    Args:
        name: of its folder.
        title: what it is about, in one line.
        axes: names of the levels of each axis, by the name of the axis.
        seeds: every combination of levels runs with each of them.
        target_accuracy: 0 to 1; how long and how many bits it takes to get there is reported.
        experiments: one for each combination of levels and seed.
    """

    name: str
    title: str
    axes: Mapping[str, Tuple[str, ...]]
    seeds: Tuple[int, ...]
    target_accuracy: float
    experiments: Mapping[Tuple[Tuple[str, ...], int], Experiment]

    def combinations(self) -> Iterator[Tuple[str, ...]]:
        """Every choice of one level from each axis, in the order of the file."""
        return itertools.product(*self.axes.values())


def names() -> List[str]:
    """The studies that are there; none where the package was installed without its source."""
    return sorted(path.parent.name for path in FOLDER.glob("*/" + FILE))


def read_study(folder: Path, quick: bool = False) -> Study:
    """The study of a folder, in full or in its quick size.

    Raises:
        UserError: the file is missing or wrong; one line that names the key.
    """
    values = config.read(folder / FILE)
    try:
        file = _File(**values)
    except pydantic.ValidationError as error:
        raise UserError(config.explain(error, f"{folder / FILE}: ", _File.model_fields)) from None
    base = merge(file.experiment, file.quick.experiment) if quick else file.experiment
    seeds, target = file.seeds, file.target_accuracy
    if quick:
        seeds, target = file.quick.seeds or seeds, file.quick.target_accuracy or target
    experiments = {}
    for names in itertools.product(*file.axes.values()):
        merged = base
        for levels, name in zip(file.axes.values(), names):
            merged = merge(merged, levels[name])
        for seed in seeds:
            experiments[names, seed] = config.parse({**resolve(merged), "name": folder.name, "seed": seed})
    axes = {axis: tuple(levels) for axis, levels in file.axes.items()}
    return Study(folder.name, file.title, axes, tuple(seeds), target, experiments)


def merge(base: Table, changes: Table) -> Dict[str, Any]:
    """The base with the changes laid over it; of a table only the keys that change, unless it names another part.

    >>> merge({"codec": {"name": "affine", "base_bits": 2}, "ues": 4}, {"codec": {"base_bits": 3}})
    {'codec': {'name': 'affine', 'base_bits': 3}, 'ues': 4}
    >>> merge({"codec": {"name": "affine", "base_bits": 2}}, {"codec": {"name": "float32"}})
    {'codec': {'name': 'float32'}}
    """
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and value.get("name") in (None, old.get("name")):
            value = {**old, **value}
        result[key] = value
    return result


def resolve(values: Table) -> Dict[str, Any]:
    """The values with every "= table.key" replaced by what stands there.

    >>> resolve({"protocol": {"receive_s": 2.0}, "bits": {"deadline_s": "= protocol.receive_s"}})["bits"]
    {'deadline_s': 2.0}
    """

    def found(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: found(item) for key, item in value.items()}
        if not (isinstance(value, str) and value.startswith("= ")):
            return value
        place: Any = values
        for key in value[2:].split("."):
            if not isinstance(place, dict) or key not in place:
                raise UserError(f"{value!r} is not allowed: {value[2:]} is not there")
            place = place[key]
        return place

    return {key: found(value) for key, value in values.items()}
