"""Many runs that differ along axes, from Python. To keep a grid, make it a study; see docs/studies.md."""

import dataclasses
import itertools
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

from fl_simu import api
from fl_simu.api import PathLike, Run
from fl_simu.experiment import CHAINS, Experiment
from fl_simu.kernel.errors import UserError, nearest, shown
from fl_simu.loop.plan import digest
from fl_simu.parts import KINDS
from fl_simu.results.columns import columns_of
from fl_simu.results.frames import import_pandas
from fl_simu.results.run_folder import RunFolder
from fl_simu.results.targets import Reached

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class Sweep:
    """The runs of a sweep.

    Args:
        axes: the keys that were varied.
        runs: the runs, by the label of the level on each axis, and the seed.
    """

    axes: Tuple[str, ...]
    runs: Mapping[Tuple[Any, ...], Run]

    def frame(self, target: Optional[float] = None) -> "DataFrame":
        """A pandas DataFrame with one row per run: the level on each axis, the seed, the numbers of the summary.

        Args:
            target: a test accuracy, 0 to 1. More columns give the cost of reaching it: `target_time_s`,
                `target_uplink_bits` and, with the meter `energy`, `target_energy_j`; NaN if it was not reached.

        Statistics over seeds: `frame().groupby("codec.base_bits").final_accuracy.agg(["mean", "std"])`.
        """
        pandas, rows = import_pandas(), []
        for place, run in self.runs.items():
            told = run.summary.as_dict()
            numbers = {name: told[name] for name in NUMBERS}
            took = {} if target is None else _took(run, target)
            rows.append({**dict(zip((*self.axes, "seed"), place)), **numbers, **took})
        return pandas.DataFrame(rows)


def _took(run: Run, target: float) -> Dict[str, float]:
    took, columns = run.reached(target), columns_of(run.summary.facts)
    axes = [name for name, column in columns.items() if column.axis]
    told = {**took._asdict(), **took.meters} if took else {}
    return {f"target_{name}": told.get(name, math.nan) for name in (*Reached._fields[:-1], *axes)}


NUMBERS = ("rounds", "final_accuracy", "final_loss", "virtual_time_s", "uplink_bits", "downlink_bits",
           "accepted_full", "accepted_base", "rejected", "wall_time_s")  # fmt: skip


def sweep(
    experiment: Experiment,
    axes: Mapping[str, Sequence[Any]],
    seeds: Sequence[int] = (),
    folder: Optional[PathLike] = None,
    data_dir: Optional[PathLike] = None,
) -> Sweep:
    """Run an experiment with every combination of values and every seed, one run after the other.

    Args:
        experiment: the experiment that all runs share.
        axes: values for fields of the experiment ("codec"), or for arguments of its parts ("codec.base_bits").
        seeds: the seeds; the experiment's own if there are none.
        folder: each run gets a subfolder here. A run that has ended there is not run again, and one that was
            stopped resumes. Nothing is written if None.
        data_dir: as for `run`.

    Raises:
        UserError: there is no such field or argument, a value is not allowed, or as for `run`. Nothing is run
            unless every combination is allowed.

    Examples:
        >>> import fl_simu as fl
        >>> base = fl.Experiment(rounds=1, ues=2, data="digits", model="mlp", backend="torch", codec="affine")
        >>> found = fl.sweep(base, {"codec.base_bits": [2, 8]}, seeds=[1, 2])
        >>> list(found.runs)
        [(2, 1), (2, 2), (8, 1), (8, 2)]
    """
    labels = {key: _labels(key, values) for key, values in axes.items()}
    jobs: Dict[Tuple[Any, ...], Experiment] = {}
    for choice in itertools.product(*(zip(labels[key], values) for key, values in axes.items())):
        changed = experiment
        for key, (_, value) in zip(axes, choice):
            changed = _changed(changed, key, value)
        for seed in seeds or [experiment.seed]:
            place = (*(label for label, _ in choice), seed)
            jobs[place] = changed.with_(seed=seed)
    runs = {}
    for place, one in jobs.items():
        runs[place] = _run(one, place, tuple(axes), folder, data_dir)
    return Sweep(tuple(axes), runs)


def _run(
    experiment: Experiment,
    place: Tuple[Any, ...],
    axes: Tuple[str, ...],
    folder: Optional[PathLike],
    data_dir: Optional[PathLike],
) -> Run:
    if folder is None:
        return api.run(experiment, data_dir=data_dir)
    words = "-".join(f"{axis}-{label}" for axis, label in zip((*axes, "seed"), place))
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", words)[:100]
    there = RunFolder(Path(folder) / f"{name}-{digest(experiment)[:8]}")
    if there.ended():
        return api.load(there.path)
    if there.config.exists():
        return api.resume(there.path, data_dir=data_dir)
    return api.run(experiment, there.path, data_dir=data_dir)


def _changed(experiment: Experiment, key: str, value: Any) -> Experiment:
    table, dot, argument = key.partition(".")
    fields = [field.name for field in dataclasses.fields(experiment)]
    if table not in fields:
        raise UserError(f"{shown(key)} is no known key: {nearest(table, fields)}")
    if not dot:
        return experiment.with_(**{key: value})
    part = getattr(experiment, table)
    known = [field.name for field in dataclasses.fields(part)] if dataclasses.is_dataclass(part) else []
    if argument not in known:
        raise UserError(f"{shown(key)} is no known key: {nearest(argument, known)}")
    return experiment.with_(**{table: dataclasses.replace(part, **{argument: value})})


def _labels(key: str, values: Sequence[Any]) -> List[Any]:
    """The levels of an axis as labels for table rows, no two of them the same.

    Raises:
        UserError: a level occurs twice.
    """
    labels = [_label(key, value, full=False) for value in values]
    if len(set(labels)) < len(labels):
        labels = [_label(key, value, full=True) for value in values]
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise UserError(f"{shown(key)} has the level {shown(twice[0])} twice")
    return labels


def _label(key: str, value: Any, full: bool) -> Any:
    """A number or text unchanged; a part by its name, or by its name and arguments."""
    if key in CHAINS and isinstance(value, (list, tuple)):
        return " + ".join(str(_label(key, one, full)) for one in value) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {one}" for name, one in value.items())
    if key not in KINDS or isinstance(value, str):
        return value if isinstance(value, (str, int, float, bool)) else repr(value)
    kind = KINDS[key]
    part = kind.take(value)
    told = {"name": kind.name_of(part, nameless=True), **(kind.describe(part, nameless=True) if full else {})}
    return ", ".join([told.pop("name"), *(f"{name} {one}" for name, one in told.items())])
