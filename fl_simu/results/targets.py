"""The cost of reaching an accuracy: rounds, virtual time, bits, and meter columns that are an axis (energy)."""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Union

from fl_simu.kernel.errors import UserError, require
from fl_simu.results.closing_table import readable_bits
from fl_simu.results.columns import NONE, Columns, so_far
from fl_simu.results.records import RoundRecord
from fl_simu.results.uploads import Round
from fl_simu.results.values import items, number

NOT_REACHED = "not reached"


class Reached(NamedTuple):
    """The totals of a run up to the first round that reaches a target accuracy.

    Args:
        round: number of that round.
        time_s: virtual time [s].
        uplink_bits: bits that all UEs have sent [bit].
        downlink_bits: bits that the BS has sent to hand out the model [bit].
        meters: totals of the meter columns that are an axis, by name.
    """

    round: int
    time_s: float
    uplink_bits: int
    downlink_bits: int
    meters: Mapping[str, float]


def reached(
    records: Sequence[Union[RoundRecord, Round]], target: float, columns: Columns = NONE
) -> Optional[Reached]:
    """The cost of reaching a test accuracy; None if no evaluated round reaches it.

    Args:
        records: the rounds, in order.
        target: 0 to 1.
        columns: the columns of meters; the result includes those that are an axis.
    """
    at = next((at for at, record in enumerate(records) if record.accuracy >= target), None)
    if at is None:
        return None
    behind = records[: at + 1]
    return Reached(
        int(records[at].round),
        float(records[at].time_s),
        sum(int(record.uplink_bits) for record in behind),
        sum(int(record.downlink_bits) for record in behind),
        {name: float(so_far(behind, name, one)[-1]) for name, one in columns.items() if one.axis},
    )


def told(records: Sequence[RoundRecord], targets: Sequence[float], columns: Columns) -> List[Dict[str, Any]]:
    """The entry `targets` of a summary: each target with its cost, or None if it was not reached."""
    found = ((target, reached(records, target, columns)) for target in targets)
    return [{"accuracy": target, "reached": one and dict(one._asdict())} for target, one in found]


def targets_of(summary: Mapping[str, Any]) -> List[float]:
    """The targets in a summary.

    Raises:
        UserError: the entry has another form.
    """
    try:
        return [number(entry["accuracy"]) for entry in items(summary.get("targets", []))]
    except (KeyError, TypeError) as error:
        raise UserError(f"summary.json is damaged at targets ({type(error).__name__})") from None


def require_targets(field: str, targets: Sequence[float]) -> None:
    """Raise BadField unless these are accuracies."""
    for target in targets:
        require(0 < target <= 1, field, target, "an accuracy above 0, at most 1")


def headings(target: float, columns: Columns) -> List[str]:
    """The headings of the table columns for a target."""
    to = f"to {100 * target:g} %"
    axes = [one._replace(label=f"{one.label} {to}").heading for one in columns.values() if one.axis]
    return [f"time {to}", f"sent {to}", *axes]


def cells(found: Optional[Reached], columns: Columns) -> List[str]:
    """The cells below these headings."""
    axes = [name for name, one in columns.items() if one.axis]
    if found is None:
        return [NOT_REACHED] * (2 + len(axes))
    sent = readable_bits(found.uplink_bits)
    return [f"{found.time_s:.2f} s", sent, *(f"{found.meters[name]:.4g}" for name in axes)]
