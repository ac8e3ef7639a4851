"""The table of the results of all rows. To write it: `python -m tests.baseline.table [ROW...]`.

Write it again only for an intended change of results, and name the rows in the commit.
"""

import json
import sys
from pathlib import Path
from typing import Any, Dict, List, Tuple

from fl_simu.kernel.installation import MODERN, stack
from tests.baseline.rows import OTHERS, ROWS, outcome, probe

TABLE = Path(__file__).with_name("table.json")


def jobs() -> List[Tuple[str, str]]:
    """(row, backend) of this stack."""
    others = [(row, name) for name, rows in OTHERS.items() for row in rows if MODERN or name != "vectorized"]
    return [(row, "torch") for row in ROWS] + others


def read() -> Dict[str, Any]:
    """The part of this stack."""
    return json.loads(TABLE.read_text())[stack()]


def main(rows: List[str]) -> None:
    table = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    mine = table.setdefault(stack(), {})
    mine["probe"] = probe()
    results = mine.setdefault("results", {})
    for row, backend in jobs():
        if not rows or row in rows:
            timeline, records, model, loss = outcome(row, backend)
            entry = {"timeline": timeline, "records": records, "model": model, "loss": round(loss, 5)}
            results[f"{row} on {backend}"] = entry
            print(row, backend, *entry.values(), flush=True)
    TABLE.write_text(json.dumps(table, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
