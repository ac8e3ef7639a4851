"""Studies: many experiments that differ along named axes, each with several seeds, described by one TOML file.

A folder below experiments/ holds `study.toml`: what all runs share (`experiment`), the `axes` with their levels,
and the `seeds`. A level is a part of an experiment that is laid over what the axes before it gave. A text that
begins with "= " is the value of another key, as "= protocol.receive_s".
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Tuple

from fl_simu import config
from fl_simu.config import Experiment
from fl_simu.kernel.errors import UserError, require

FOLDER = Path(__file__).resolve().parent.parent / "experiments"
FILE = "study.toml"
KEYS = {"title", "seeds", "target_accuracy", "experiment", "axes", "quick"}

Table = Mapping[str, Any]


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


def names(folder: Path = FOLDER) -> List[str]:
    """The studies that are there.

    Raises:
        UserError: there are none, as where the package was installed without its source.
    """
    found = sorted(path.parent.name for path in folder.glob("*/" + FILE))
    if not found:
        raise UserError(f"no experiments in {folder}: they come with the source of fl_simu, run from a checkout")
    return found


def read_study(folder: Path, quick: bool = False) -> Study:
    """The study of a folder, in full or in its quick size.

    Raises:
        UserError: the file is missing or wrong; one line that names the key.
    """
    values = config.read(folder / FILE)
    unknown = sorted(set(values) - KEYS)
    if unknown:
        raise UserError(f"{folder / FILE}: {unknown[0]} is no known key: {config.nearest(unknown[0], KEYS)}")
    axes: Dict[str, Dict[str, Table]] = values["axes"]
    base, seeds = values["experiment"], values["seeds"]
    if quick:
        base, seeds = merge(base, values["quick"].get("experiment", {})), values["quick"].get("seeds", seeds)
    require(bool(seeds), "seeds", seeds, "one number or more")
    experiments = {}
    for levels in itertools.product(*axes.values()):
        merged = base
        for axis, level in zip(axes.values(), levels):
            merged = merge(merged, axis[level])
        for seed in seeds:
            experiments[levels, seed] = config.parse({**resolve(merged), "name": folder.name, "seed": seed})
    return Study(
        folder.name,
        values["title"],
        {name: tuple(levels) for name, levels in axes.items()},
        tuple(seeds),
        values["target_accuracy"],
        experiments,
    )


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
        both = isinstance(value, dict) and isinstance(old, dict)
        if both and value.get("name", old.get("name")) == old.get("name"):
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
