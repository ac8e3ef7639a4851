"""Studies: many experiments that differ along named axes, each with several seeds, described by one TOML file.

The file is `study.toml` in the folder of an experiment. It holds the settings that all runs share (`experiment`),
the `axes` with their levels, and the `seeds`. A level is a part of an experiment, merged over the levels of the
axes before it. A text that begins with "= " takes the value of another key, for example "= protocol.receive_s".
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import pydantic
from pydantic import BaseModel, ConfigDict, Field

from fl_simu.experiment import Experiment
from fl_simu.kernel import config
from fl_simu.kernel.checked import explain
from fl_simu.kernel.errors import UserError, brief, nearest, require, shown
from fl_simu.results.comparisons import Comparison
from fl_simu.results.study_table import VALUES, Row
from fl_simu.studies import catalogue
from fl_simu.studies.claims import Claim

Table = Mapping[str, Any]
Axes = Mapping[str, Tuple[str, ...]]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Note(_Strict):
    """A value of the notes, and its place in the results.

    Fields:
        what, notes, tolerance, why: as for a `Comparison`.
        levels: the levels of the row, one for each axis.
        value: a key of the row.
        scale: our value is the row's value times this.
    """

    what: str
    notes: Optional[str] = None
    levels: List[str]
    value: str
    scale: float = 1.0
    tolerance: float = 0.0
    why: str = ""

    def beside(self, table: Sequence[Row]) -> Comparison:
        """The comparison of the notes' value with ours, which is "never" if no run reached the target."""
        (ours,) = [row[self.value] for row in table if list(row["levels"].values()) == self.levels]
        return self.comparison("never" if ours is None else self.scale * ours)

    def comparison(self, ours: Union[float, str]) -> Comparison:
        return Comparison(self.what, self.notes, ours, self.tolerance, self.why)


class _Quick(_Strict):
    """The changes of the quick size, including axes with fewer levels; the notes' values are for the full size."""

    experiment: Dict[str, Any] = {}
    levels: Dict[str, List[str]] = {}
    seeds: List[int] = []
    target_accuracy: Optional[float] = Field(None, gt=0, le=1)
    notes: List[Note] = []


class _File(_Strict):
    """The content of study.toml."""

    title: str
    seeds: List[int] = Field(min_length=1)
    target_accuracy: float = Field(gt=0, le=1)
    experiment: Dict[str, Any]
    axes: Dict[str, Dict[str, Dict[str, Any]]] = Field(min_length=1)
    notes: List[Note] = []
    claims: List[Claim] = []
    quick: _Quick = _Quick()


@dataclass(frozen=True)
class Study:
    """Experiments that are compared with each other.

    Args:
        name: the name of its folder.
        title: its subject in one line.
        axes: names of the levels of each axis, by the name of the axis.
        seeds: every combination of levels runs with each of them.
        target_accuracy: 0 to 1; the study reports the time and bits to reach it.
        experiments: one for each combination of levels and seed.
        notes: values of the notes to compare with.
        claims: claims of papers and our own whose rows exist in this size.
        quick: whether this is the quick size.
    """

    name: str
    title: str
    axes: Axes
    seeds: Tuple[int, ...]
    target_accuracy: float
    experiments: Mapping[Tuple[Tuple[str, ...], int], Experiment]
    notes: Tuple[Note, ...] = ()
    claims: Tuple[Claim, ...] = ()
    quick: bool = False

    def combinations(self) -> Iterator[Tuple[str, ...]]:
        """Every choice of one level from each axis, in the order of the file."""
        return itertools.product(*self.axes.values())


def read_study(folder: Path, quick: bool = False) -> Study:
    """The study of a folder, in its full or its quick size.

    Raises:
        UserError: the file is missing or wrong; the message is one line that names the key.
    """
    path = folder / catalogue.STUDY
    values = config.read(path)
    try:
        file = _File.model_validate(values)
    except pydantic.ValidationError as error:
        raise UserError(explain(error, f"{path}: ", _File.model_fields)) from None
    for note in file.notes + file.quick.notes:
        _check(note, file.axes)
    every = {axis: tuple(levels) for axis, levels in file.axes.items()}
    for claim in file.claims:
        claim.check(every)
    fewer = _quick_axes(every, file.quick.levels)
    axes = fewer if quick else every
    base = merge(file.experiment, file.quick.experiment) if quick else file.experiment
    seeds, target = file.seeds, file.target_accuracy
    if quick:
        seeds, target = file.quick.seeds or seeds, file.quick.target_accuracy or target
    experiments = {}
    # Seed by seed, so that a stopped study has every combination with its first seeds.
    for seed, names in itertools.product(seeds, itertools.product(*axes.values())):
        merged = base
        for levels, name in zip(file.axes.values(), names):
            merged = merge(merged, levels[name])
        experiments[names, seed] = Experiment.parse({**resolve(merged), "name": folder.name, "seed": seed}, folder)
    claims = tuple(claim for claim in file.claims if claim.is_of(axes))
    for claim in claims:
        for row in claim.rows(axes):
            claim.check_value(experiments[row, seeds[0]].columns())
    notes = file.quick.notes if quick else file.notes
    return Study(folder.name, file.title, axes, tuple(seeds), target, experiments, tuple(notes), claims, quick)


def _quick_axes(
    axes: Mapping[str, Tuple[str, ...]], some: Mapping[str, Sequence[str]]
) -> Dict[str, Tuple[str, ...]]:
    """The axes with the levels of the quick size, in the order of the full size."""
    for axis, levels in some.items():
        require(axis in axes, "quick.levels", axis, "an axis: " + ", ".join(axes))
        unknown = [level for level in levels if level not in axes[axis]]
        require(
            bool(levels) and not unknown,
            f"quick.levels.{axis}",
            unknown or levels,
            "some of " + ", ".join(axes[axis]),
        )
    return {axis: tuple(one for one in levels if one in some.get(axis, levels)) for axis, levels in axes.items()}


def _check(note: Note, axes: Mapping[str, Table]) -> None:
    """Raise UserError for a value of the notes that no row will have."""
    note.comparison(0.0)
    if note.value not in VALUES:
        raise UserError(f"notes.value = {shown(note.value)} is not known: {nearest(note.value, VALUES)}")
    fits = len(note.levels) == len(axes) and all(one in levels for one, levels in zip(note.levels, axes.values()))
    require(fits, "notes.levels", note.levels, "a level of each axis, in the order of the axes")


def merge(base: Table, changes: Table) -> Dict[str, Any]:
    """The base with the changes merged in; a table changes key by key, unless it names another part.

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
    """The values with every "= table.key" replaced by the value of that key.

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
                raise UserError(f"{shown(value)} is not allowed: {brief(value[2:])} is not there")
            place = place[key]
        return place

    return {key: found(value) for key, value in values.items()}
