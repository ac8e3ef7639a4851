"""What is available: the parts, the data sets."""

from pathlib import Path
from typing import Any, List, Optional, Tuple, Type

from fl_simu.cli.plain_text import plain
from fl_simu.data.datasets import presence
from fl_simu.kernel.errors import UserError, nearest, shown
from fl_simu.parts import KINDS
from fl_simu.results.files import told_in_one_line
from fl_simu.studies import catalogue, script

# The name of a kind in `list`, and its table in a config.
PLURALS = {kind.plural: table for table, kind in KINDS.items() if kind.listed}


def listing(kind: Optional[str]) -> str:
    """The parts of one kind, or of all: name, one-line summary, and what this stack lacks for each.

    Raises:
        UserError: no such kind.
    """
    kinds = [*PLURALS, "experiments"]
    if kind is not None and kind not in kinds:
        raise UserError(f"KIND = {shown(kind)} is not known: {nearest(kind, kinds)}")
    return "\n\n".join(_section(name) for name in ([kind] if kind else kinds))


def _section(kind: str) -> str:
    rows = (
        _experiments()
        if kind == "experiments"
        else [
            (name, plain(_summary(cls)) + _lack(getattr(cls, "missing", str)()))
            for name, cls in KINDS[PLURALS[kind]].rows.items()
        ]
    )
    width = max([len(name) for name, _ in rows], default=0)
    return "\n".join([kind] + ["  {:<{}}  {}".format(name, width, line) for name, line in rows])


def _lack(missing: str) -> str:
    return f" ({missing})" if missing else ""


def _summary(cls: Type[Any]) -> str:
    """The first paragraph of the docstring, in one line."""
    return " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())


def _experiments() -> List[Tuple[str, str]]:
    """The experiments of `reproduce`: studies with the first comment of their file, scripts with their title."""
    found = {
        name: plain(_leading_comment(catalogue.folders()[name] / catalogue.STUDY)) for name in catalogue.studies()
    }
    for name in catalogue.scripts():
        found[name] = plain(script.title(name)) + _lack(script.missing(name))
    for group, names in catalogue.groups().items():
        found[group] = "all of " + ", ".join(names)
    return sorted(found.items())


def _leading_comment(file: Path) -> str:
    with told_in_one_line(file, "read"):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[0].lstrip("# ") if lines and lines[0].startswith("#") else ""


def data_listing(data_dir: Optional[Path]) -> str:
    """Which data sets are on this machine, and where."""
    rows = presence(data_dir)
    return "\n".join(
        "{:<14} {:<8} {}".format(row.name, "found" if row.present else "missing", row.where) for row in rows
    )
