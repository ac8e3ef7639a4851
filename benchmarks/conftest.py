"""The table at the end of a run of the benchmarks, and the file with the same figures."""

import json
from pathlib import Path
from typing import Any, Dict, List, Sequence

import pytest
import torch

from fl_simu.kernel.installation import stack


class Report:
    """Rows for the table, and the raw figures behind them."""

    def __init__(self) -> None:
        self.rows: List[List[str]] = []
        self.raw: Dict[str, Any] = {}

    def add(self, what: str, figure: str, goal: str = "", **raw: Any) -> None:
        """Add a row; `goal` is the goal of the figure, if it has one."""
        self.rows.append([what, figure, goal])
        self.raw[what] = {"figure": figure, "goal": goal, **raw}

    def table(self) -> str:
        rows = [["what", "measured", "goal"], *self.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


REPORT = Report()


def pytest_addoption(parser: Any) -> None:
    parser.addoption(
        "--figures", help="where the figures are written as JSON (default: .benchmarks/figures-STACK.json)"
    )


@pytest.fixture(scope="session")
def report() -> Report:
    return REPORT


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def pytest_terminal_summary(terminalreporter: Any, exitstatus: Sequence[int], config: Any) -> None:
    if not REPORT.rows:
        return
    default = Path(str(config.rootdir)) / ".benchmarks" / f"figures-{stack()}.json"
    path = Path(config.getoption("--figures") or default)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"stack": stack(), "torch": torch.__version__, "figures": REPORT.raw}, indent=1))
    terminalreporter.section(f"figures, {stack()} stack, torch {torch.__version__}")
    terminalreporter.write_line(REPORT.table())
    terminalreporter.write_line(f"also in {path}")
