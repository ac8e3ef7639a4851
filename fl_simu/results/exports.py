"""Records and results as tables for other programs: CSV with exact numbers, LaTeX in the style of papers."""

import csv
import io
import math
from typing import Any, Dict, List, Mapping, Sequence

from fl_simu.kernel.errors import UserError
from fl_simu.results.closing_table import closing_rows
from fl_simu.results.columns import Columns
from fl_simu.results.comparisons import comparison_cells, read_comparisons
from fl_simu.results.findings import Finding, finding_cells
from fl_simu.results.frames import row
from fl_simu.results.records import RoundRecord, Summary
from fl_simu.results.study_table import cells
from fl_simu.results.tables import latex_table

Rows = List[Dict[str, Any]]


def round_rows(records: Sequence[RoundRecord]) -> Rows:
    """One row per round: the content of `Run.frame`."""
    return [row(record) for record in records]


def upload_rows(records: Sequence[RoundRecord]) -> Rows:
    """One row for each upload that ended, in the order of the records.

    Returns:
        Rows with `round`, `ue`, `compute_s` and `download_s` [s]; `delay_1_s`, `delay_2_s`, ... [s], from the
        start of the upload to the arrival of each layer, base first; `bits` [bit]; `accepted`, `reason`; and the
        columns of meters.
    """
    return [
        {
            "round": record.round,
            "ue": one.ue,
            "compute_s": one.compute_s,
            "download_s": one.download_s,
            **{f"delay_{layer}_s": delay_s for layer, delay_s in enumerate(one.delays_s, start=1)},
            "bits": one.bits,
            "accepted": one.accepted,
            "reason": one.reason,
            **one.meters,
        }
        for record in records
        for one in record.ues
    ]


def study_rows(results: Sequence[Mapping[str, Any]]) -> Rows:
    """One row for each combination of levels: the entries of `results.json`, with the levels as columns."""
    return [{**one["levels"], **{key: value for key, value in one.items() if key != "levels"}} for one in results]


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV (RFC 4180, but lines end with a newline alone): a header, then one line per row.

    A number has the fewest digits that give the same double again. Missing and non-finite values are empty
    cells.

    >>> print(csv_text([{"round": 1, "loss": 0.1}, {"round": 2, "loss": float("nan"), "energy_j": 1e-9}]), end="")
    round,loss,energy_j
    1,0.1,
    2,,1e-09
    """
    head = _merged([list(one) for one in rows])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([[_cell(one.get(name)) for name in head] for one in rows])
    return text.getvalue()


def _merged(heads: Sequence[Sequence[str]]) -> List[str]:
    """All names once; a name that earlier rows lack is placed after its predecessor in its own row."""
    merged: List[str] = []
    for head in dict.fromkeys(map(tuple, heads)):
        at = 0
        for name in head:
            if name in merged:
                at = merged.index(name) + 1
            else:
                merged.insert(at, name)
                at += 1
    return merged


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)


def run_tables(summary: Summary) -> Dict[str, str]:
    """The table for the end of a run in LaTeX, by file name."""
    return {"run.tex": latex_table([["", summary.name], *map(list, closing_rows(summary))])}


def study_tables(left: Mapping[str, Any], columns: Columns) -> Dict[str, str]:
    """The tables of a study or a script in LaTeX, by file name.

    Args:
        left: the content of its JSON files, by their names without the extension: results, comparisons, findings.
        columns: of the meters of its runs.

    Raises:
        UserError: a file has other content.
    """
    found = {}
    for name, read in (
        ("results", lambda rows: cells(rows, {key: one for key, one in columns.items() if key in rows[0]})),
        ("comparisons", lambda rows: comparison_cells(read_comparisons(rows))),
        ("findings", lambda rows: finding_cells([Finding(**one) for one in rows])),
    ):
        if left.get(name):
            try:
                found[f"{name}.tex"] = latex_table(read(left[name]))
            except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
                raise UserError(f"{name}.json is damaged ({type(error).__name__})") from None
    return found
