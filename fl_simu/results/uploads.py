"""The rounds of a run without their uploads, and all uploads as arrays, without an object per upload."""

import json
import math
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import UserError
from fl_simu.results.attack_measures import require_measures
from fl_simu.results.records import ACCEPTED, RoundLog, RoundRecord
from fl_simu.results.values import count, number, text

_KIND = {kind: at for at, kind in enumerate(ACCEPTED)}


class Round(NamedTuple):
    """A `RoundRecord` without its uploads."""

    round: int
    time_s: float
    accuracy: float
    loss: float
    uplink_bits: int
    downlink_bits: int
    meters: Mapping[str, float]


class Uploads(NamedTuple):
    """All uploads of a run in the order of its records, as arrays of shape (uploads,).

    Args:
        round: number of the round, int64.
        place: position within the round, from -0.5 to 0.5.
        ue: number of the UE, int64.
        kind: index in `ACCEPTED`, int64.
        base_s: delay of the base layer [s]; NaN if the upload has no other layer, or the base never arrived.
        complete_s: delay of the last layer [s]; NaN if it never arrived.
    """

    round: np.ndarray
    place: np.ndarray
    ue: np.ndarray
    kind: np.ndarray
    base_s: np.ndarray
    complete_s: np.ndarray


def read_uploads(log: RoundLog) -> Tuple[List[Round], Uploads]:
    """The rounds and uploads in the log of a run.

    Raises:
        UserError: the log cannot be read, or is damaged.
    """
    read = log.read_as(_line)
    rounds, parts = [one for one, _ in read], [part for _, part in read]
    sizes = [len(ues) for ues, _, _, _ in parts]
    parts.append(_part([], [], []))
    ue, kind, base_s, complete_s = (np.concatenate([part[at] for part in parts]) for at in range(4))
    numbers = np.array([one.round for one in rounds], dtype=np.int64)
    # A single upload of a round is in the middle.
    places = [np.arange(size) / max(1, size - 1) - (0.5 if size > 1 else 0.0) for size in sizes]
    place = np.concatenate([np.zeros(0), *places])
    return rounds, Uploads(np.repeat(numbers, sizes), place, ue, kind, base_s, complete_s)


def thresholds_of(summary: Mapping[str, Any]) -> Dict[str, float]:
    """The deadlines of the protocol in a summary, by label, from the start of an upload [s].

    Raises:
        UserError: the entry has another form.
    """
    try:
        return {text(label): number(limit_s) for label, limit_s in summary.get("thresholds_s", {}).items()}
    except (TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"summary.json is damaged at thresholds_s ({type(error).__name__})") from None


# For one round: UEs, kinds, delays of the base layer and of the last layer.
_Part = Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _line(line: str) -> Tuple[Round, _Part]:
    try:
        return _quickly(json.loads(line))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        # This raises an error if the line is damaged. Otherwise only some types differ, as 1 for 1.0.
        record = RoundRecord.from_line(line)
    delays = [_ends(one.delays_s) for one in record.ues]
    return _round(record.round, vars(record)), _part(
        [one.ue for one in record.ues], [_KIND[one.accepted] for one in record.ues], delays
    )


def _quickly(value: Dict[str, Any]) -> Tuple[Round, _Part]:
    """Read a line from `RoundRecord.to_line`, with the checks of `from_line`, many values at a time."""
    outcomes = value["ues"]
    for name, wanted in (("ue", int), ("bits", int), ("compute_s", float), ("reason", str)):
        if any(type(one[name]) is not wanted for one in outcomes):
            raise TypeError(name)
    if any(one["ue"] < 0 or one["bits"] < 0 for one in outcomes):
        raise ValueError("negative")
    if value["uplink_bits"] != sum(one["bits"] for one in outcomes):
        raise ValueError("uplink_bits")
    if "attack" in value:
        require_measures(value["attack"])
    told = {name: number(value[name]) for name in ("time_s", "accuracy", "loss", "wall_time_s")}
    counts = {name: count(value[name]) for name in ("uplink_bits", "downlink_bits")}
    meters = {text(name): number(one) for name, one in value.get("meters", {}).items()}
    delays = [_ends(one["delays_s"]) for one in outcomes]
    if not {type(delay_s) for pair in delays for delay_s in pair} <= {float}:
        raise TypeError("delays_s")
    kinds = [_KIND[one["accepted"]] for one in outcomes]
    part = _part([one["ue"] for one in outcomes], kinds, delays)
    return _round(count(value["round"]), {**told, **counts, "meters": meters}), part


def _round(at: int, values: Mapping[str, Any]) -> Round:
    return Round(at, *(values[name] for name in Round._fields[1:]))


def _ends(delays_s: Sequence[Any]) -> Tuple[Any, Any]:
    """The delays of the base layer, if there is another layer, and of the last layer; NaN for null."""
    if not delays_s:
        return math.nan, math.nan
    base, last = delays_s[0] if len(delays_s) > 1 else math.nan, delays_s[-1]
    return math.nan if base is None else base, math.nan if last is None else last


def _part(ues: List[int], kinds: List[int], delays: List[Tuple[float, float]]) -> _Part:
    both = np.array(delays, dtype=float).reshape(-1, 2)
    # An infinite delay means that the layer never arrived.
    both[~np.isfinite(both)] = math.nan
    return np.array(ues, dtype=np.int64), np.array(kinds, dtype=np.int64), both[:, 0], both[:, 1]
