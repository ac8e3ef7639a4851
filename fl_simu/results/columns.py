"""Columns: per-round numbers of which only the unit, the label and the kind of total are known."""

from typing import Any, Dict, Mapping, Sequence

import numpy as np
from typing_extensions import Protocol

from fl_simu.kernel.columns import Column as Column
from fl_simu.kernel.errors import UserError
from fl_simu.results.records import RoundRecord
from fl_simu.results.values import number, text

TOTALS = ("sum", "last")

Columns = Mapping[str, Column]
NONE: Columns = {}


class Metered(Protocol):
    """An object with the meters' numbers of one round."""

    @property
    def meters(self) -> Mapping[str, float]: ...


def alike(found: Sequence[Columns]) -> Dict[str, Column]:
    """The columns of any of several runs, except those that the runs define differently."""
    every = {name: column for one in found for name, column in one.items()}
    return {
        name: column for name, column in every.items() if all(column == one.get(name, column) for one in found)
    }


def so_far(records: Sequence[Metered], name: str, column: Column) -> Any:
    """The total of a column up to each round, shape (rounds,); NaN if a record lacks it."""
    values = np.array([record.meters.get(name, np.nan) for record in records], dtype=float)
    return np.cumsum(values) if column.total == "sum" else values


def totals(records: Sequence[RoundRecord], columns: Columns) -> Dict[str, Dict[str, Any]]:
    """The entry `meters` of a summary: the totals of a run with the description of each column."""
    return {
        name: {**column._asdict(), "value": float(so_far(records, name, column)[-1]) if records else None}
        for name, column in columns.items()
    }


def columns_of(summary: Mapping[str, Any]) -> Dict[str, Column]:
    """The columns in a summary.

    Raises:
        UserError: the entry has another form.
    """
    told = summary.get("meters", {})
    try:
        found = {}
        for name, entry in told.items():
            number(entry["value"])
            unit, label, total = (text(entry[key]) for key in ("unit", "label", "total"))
            column = Column(unit, label, total, bool(entry["axis"]), text(entry.get("figure", "")))
            if column.total not in TOTALS:
                raise TypeError("no total")
            found[text(name)] = column
        return found
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"summary.json is damaged at meters ({type(error).__name__})") from None
