"""The numbers for the charts of a page, as JSON values, thinned if there are many; `page/*.js` draws them.

A note next to a chart says how it was thinned or grouped.
"""

import math
from dataclasses import dataclass
from typing import AbstractSet, Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from fl_simu.results.columns import Column, so_far
from fl_simu.results.delay_figure import MAX_UPLOADS_DRAWN
from fl_simu.results.marks import COLOURS, LABELS, WORDS
from fl_simu.results.records import ACCEPTED
from fl_simu.results.uploads import Round, Uploads

# Okabe and Ito's palette without its yellow; the colours with the most contrast on white and black come first.
LINES = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#999999")
MAX_POINTS = 1000
MAX_GROUPS = 100
# UEs without an upload also have bars, unless there are more UEs than this.
MAX_UES = 100_000
PERCENTILES = (10, 25, 50, 75, 90)


@dataclass(frozen=True)
class Charted:
    """The data of one run for the charts.

    Args:
        rounds: in order.
        uploads: all of them.
        ues: number of UEs.
        columns: of meters.
        thresholds_s: label -> deadline, from the start of an upload [s].
    """

    rounds: Sequence[Round]
    uploads: Uploads
    ues: int
    columns: Mapping[str, Column]
    thresholds_s: Mapping[str, float]


def charts(runs: Mapping[str, Charted]) -> Dict[str, Any]:
    """The numbers for all charts on a page, from runs by name."""
    series = {name: _series(one) for name, one in runs.items()}
    labels = {key: label for _, found in series.values() for key, label in found.items()}
    own = {key: label for key, label in labels.items() if key not in _AXES and key not in _MEASURES}
    axes = {_key(name, column) for one in runs.values() for name, column in one.columns.items() if column.axis}
    x = {**{key: labels[key] for key in _AXES if key in labels}, **{key: own[key] for key in own if key in axes}}
    y = {**{key: labels[key] for key in _MEASURES}, **own}
    return {
        "x": [{"key": key, "label": label} for key, label in x.items()],
        "y": [{"key": key, "label": label} for key, label in y.items()],
        "words": WORDS,
        "colours": COLOURS,
        "lines": LINES,
        "runs": [_run(name, one, series[name][0]) for name, one in runs.items()],
    }


_AXES = ("round", "time_s", "uplink_bits", "downlink_bits")
_MEASURES = {"accuracy": "test accuracy [%]", "loss": LABELS["loss"]}


def _key(name: str, column: Column) -> str:
    """A key with the unit, because two runs may have columns with the same name and different units."""
    return f"meter {name}: {column.heading}"


def _series(one: Charted) -> Tuple[Dict[str, np.ndarray], Dict[str, str]]:
    """Each per-round quantity, shape (rounds,), and its label."""

    def each(name: str) -> np.ndarray:
        return np.array([getattr(record, name) for record in one.rounds], dtype=float)

    values = {"round": each("round"), "time_s": each("time_s"), "uplink_bits": np.cumsum(each("uplink_bits"))}
    if any(record.downlink_bits for record in one.rounds):
        values["downlink_bits"] = np.cumsum(each("downlink_bits"))
    values.update({"accuracy": 100 * each("accuracy"), "loss": each("loss")})
    values.update({_key(name, column): so_far(one.rounds, name, column) for name, column in one.columns.items()})
    headings = {_key(name, column): column.heading for name, column in one.columns.items()}
    labels = {**{key: LABELS[key] for key in _AXES}, **_MEASURES, **headings}
    return values, {key: labels[key] for key in values}


def _run(name: str, one: Charted, values: Mapping[str, np.ndarray]) -> Dict[str, Any]:
    axes = {*_AXES, *(_key(name, column) for name, column in one.columns.items() if column.axis)}
    limits = {label: limit_s for label, limit_s in one.thresholds_s.items() if 0 < limit_s < math.inf}
    return {
        "name": name,
        "curves": _thinned(values, axes),
        "thresholds": [{"label": label, "delay_s": limit_s} for label, limit_s in limits.items()],
        "uploads": _uploads(one) if len(one.uploads.ue) else None,
    }


def _thinned(values: Mapping[str, np.ndarray], axes: AbstractSet[str]) -> List[Dict[str, Any]]:
    """Measures over all axes, at no more than `MAX_POINTS` rounds plus the last one. Measures that are known in
    different rounds are thinned separately."""
    measures = [key for key in values if key not in _AXES]
    known = {key: np.isfinite(values[key]) for key in measures}
    together: Dict[bytes, List[str]] = {}
    for key in measures:
        together.setdefault(known[key].tobytes(), []).append(key)
    parts = []
    for keys in together.values():
        there = np.flatnonzero(known[keys[0]])
        every = max(1, math.ceil(len(there) / MAX_POINTS))
        at = np.union1d(there[::every], there[-1:]).astype(np.int64)
        told = {key: _numbers(values[key][at]) for key in values if key in keys or key in axes}
        parts.append({"measures": keys, "every": every, "of": len(there), "drawn": len(at), "values": told})
    return parts


def _numbers(values: Any) -> List[Any]:
    """Numbers for JSON: seven digits, null for NaN and infinities."""
    return [float(f"{value:.7g}") if math.isfinite(value) else None for value in np.asarray(values).tolist()]


@dataclass(frozen=True)
class _Groups:
    """Groups of UEs or rounds: one member per group, or several if there are many UEs or rounds.

    Args:
        group: the group of each upload, shape (uploads,).
        at, width: position and width of each group on the axis.
        members: number of UEs or rounds in each group.
        names: labels of the groups.
        axis, note: label of the axis, and a note for the reader.
    """

    group: np.ndarray
    at: np.ndarray
    width: np.ndarray
    members: np.ndarray
    names: List[str]
    axis: str
    note: str

    def told(self) -> Dict[str, Any]:
        at, width = _numbers(self.at), _numbers(self.width)
        return {"at": at, "width": width, "names": self.names, "axis": self.axis, "note": self.note}


def _groups(of: np.ndarray, all_of: np.ndarray, what: str, order: str = "") -> _Groups:
    """Divide the UEs or rounds on an axis into groups.

    Args:
        of: the UE or round of each upload, shape (uploads,).
        all_of: all UEs or rounds, each once, in the order of the axis.
        what: "UE" or "round".
        order: the order in words; empty for the order of their numbers.
    """
    several = len(all_of) > MAX_GROUPS
    parts = np.array_split(all_of, min(len(all_of), MAX_GROUPS))
    members = np.array([len(part) for part in parts])
    ends = np.cumsum(members)
    by_number = np.argsort(all_of, kind="stable")
    place = by_number[np.searchsorted(all_of[by_number], of)]
    if not several or not order:
        at, width = np.array([(part[0] + part[-1]) / 2 for part in parts]), members * (1.0 if several else 0.8)
    else:
        at, width = ends - (members + 1) / 2 + 1, members.astype(float)
    names = [_named(part.tolist(), what, in_order=not order) for part in parts]
    axis, note = what, ""
    if several:
        axis = f"{what}s, {order}" if order else what
        size = str(members[-1]) if members[0] == members[-1] else f"{members[-1]} or {members[0]}"
        note = f"{len(all_of)} {what}s, drawn in {len(parts)} groups of {size}"
        note += f", {order}." if order else "."
    return _Groups(np.searchsorted(ends, place, side="right"), at, width, members, names, axis, note)


def _named(numbers: Sequence[int], what: str, in_order: bool) -> str:
    if len(numbers) == 1:
        return f"{what} {numbers[0]}"
    if in_order:
        return f"{what}s {numbers[0]} to {numbers[-1]}"
    some = ", ".join(map(str, numbers[:8]))
    return f"{what}s {some}" + (f" and {len(numbers) - 8} more" if len(numbers) > 8 else "")


def _uploads(one: Charted) -> Dict[str, Any]:
    uploads = one.uploads
    seen = np.unique(uploads.ue)
    ues = np.arange(one.ues) if seen[-1] < one.ues <= MAX_UES else seen
    layers = {"complete upload": uploads.complete_s, "base layer": uploads.base_s}
    arrived = {name: delay_s for name, delay_s in layers.items() if np.isfinite(delay_s).any()}
    return {
        "shares": {
            "ue": _shares(uploads, _by_accepted(uploads, ues)),
            "round": _shares(uploads, _by_round(uploads, one.rounds)),
        },
        "layers": [_layer(one, ues, name, delay_s) for name, delay_s in arrived.items()],
    }


def _by_round(uploads: Uploads, rounds: Sequence[Round]) -> _Groups:
    return _groups(uploads.round, np.unique([record.round for record in rounds]), "round")


def _by_accepted(uploads: Uploads, ues: np.ndarray) -> _Groups:
    if len(ues) <= MAX_GROUPS:
        return _groups(uploads.ue, ues, "UE")
    place = np.searchsorted(ues, uploads.ue)
    full, base = (np.bincount(place[uploads.kind == kind], minlength=len(ues)) for kind in (0, 1))
    return _groups(uploads.ue, ues[np.lexsort((-base, -full))], "UE", "those accepted most often first")


def _shares(uploads: Uploads, groups: _Groups) -> Dict[str, Any]:
    """For each group, the mean number of uploads per UE or round that were accepted in full, as base, or not."""
    told = groups.told()
    for at, kind in enumerate(ACCEPTED):
        chosen = np.bincount(groups.group[uploads.kind == at], minlength=len(groups.members))
        told[kind] = _numbers(chosen / groups.members)
    told["note"] += " Bars are means." if groups.note else ""
    return told


def _layer(one: Charted, ues: np.ndarray, name: str, delay_s: np.ndarray) -> Dict[str, Any]:
    there = np.isfinite(delay_s)
    known = Uploads(*(values[there] for values in one.uploads))
    delays = delay_s[there]
    by = {"ue": _by_delay(known, delays, ues), "round": _by_round(known, one.rounds)}
    told: Dict[str, Any] = {"name": name, "note": _layer_note(there)}
    for way, groups in by.items():
        told[way] = {**groups.told(), "levels": _levels(delays, groups)}
    told["marks"] = _marks(known, delays, by) if len(delays) <= MAX_UPLOADS_DRAWN else None
    return told


def _by_delay(known: Uploads, delays: np.ndarray, ues: np.ndarray) -> _Groups:
    if len(ues) <= MAX_GROUPS:
        return _groups(known.ue, ues, "UE")
    # The lower median delay of each UE. UEs without an arrival are left out.
    order = np.lexsort((delays, known.ue))
    seen, first, size = np.unique(known.ue[order], return_index=True, return_counts=True)
    middle = delays[order][first + (size - 1) // 2]
    return _groups(known.ue, seen[np.argsort(middle, kind="stable")], "UE", "those with the lowest median first")


def _layer_note(there: np.ndarray) -> str:
    arrived, total = int(there.sum()), len(there)
    told = [] if arrived == total else [f"{total - arrived} of {total} uploads never arrived as far."]
    if arrived > MAX_UPLOADS_DRAWN:
        told.append(f"No marks: {arrived} uploads are more than {MAX_UPLOADS_DRAWN}; the percentiles are of all.")
    return " ".join(told)


def _levels(delays: np.ndarray, groups: _Groups) -> List[List[Any]]:
    """The percentiles of each group; null if nothing arrived."""
    order = np.argsort(groups.group, kind="stable")
    parts = np.split(delays[order], np.searchsorted(groups.group[order], np.arange(1, len(groups.members))))
    levels = [np.percentile(part, PERCENTILES) if len(part) else [math.nan] * len(PERCENTILES) for part in parts]
    return [_numbers(level) for level in np.array(levels, dtype=float).T]


def _marks(known: Uploads, delays: np.ndarray, by: Mapping[str, _Groups]) -> Dict[str, Any]:
    """One mark per upload, spread across its group: by UE in the order of rounds, by round in that of its UEs."""
    rank = np.zeros(len(delays))
    for ue in np.unique(known.ue):
        mine = np.flatnonzero(known.ue == ue)
        rank[mine] = np.arange(len(mine)) / max(1, len(mine) - 1) - (0.5 if len(mine) > 1 else 0.0)
    places = {
        way: groups.at[groups.group] + 0.9 * groups.width[groups.group] * beside
        for (way, groups), beside in zip(by.items(), (rank, known.place))
    }
    told = {}
    for at, kind in enumerate(ACCEPTED):
        mine = known.kind == at
        pairs = zip(known.ue[mine].tolist(), known.round[mine].tolist())
        told[kind] = {
            "delay_s": _numbers(delays[mine]),
            "names": [f"UE {ue}, round {one}" for ue, one in pairs],
            **{way: _numbers(place[mine]) for way, place in places.items()},
        }
    return told
