"""What was reproduced, on one page: Markdown, and HTML that holds its figures and needs nothing else."""

import base64
from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import List, Sequence, Tuple

from fl_simu.results.comparisons import Comparison, comparison_cells
from fl_simu.results.files import told_in_one_line
from fl_simu.results.tables import Cells, markdown_table

KINDS = ("agrees", "differs", "not given in the notes")

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Reproduced</title>
<style>
body { font: 16px/1.5 sans-serif; color: #222; max-width: 70em; margin: 2em auto; padding: 0 1em; }
h2 { margin-top: 2.5em; border-top: 1px solid #bbb; padding-top: 1em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1em 0; font-size: 0.9em; }
th, td { border: 1px solid #bbb; padding: 0.25em 0.6em; text-align: left; vertical-align: top; }
th { background: #eee; }
tr.agrees td { background: #eef7ee; }
tr.differs td { background: #fbeaea; }
img { max-width: 100%; }
</style>
</head>
<body>
<h1>Reproduced</h1>
<p>$counts</p>
$sections
</body>
</html>
""")

SECTION = Template("""<section id="$name">
<h2>$name</h2>
<p>$title</p>
$tables
$figures
</section>
""")


@dataclass(frozen=True)
class Reproduced:
    """What came of one experiment.

    Args:
        name: of its folder.
        title: what it is about, in one line.
        comparisons: what the notes give beside ours; may be empty.
        results: the table of a study, its head first; empty for a script.
        figures: paths of PNG files.
    """

    name: str
    title: str
    comparisons: Tuple[Comparison, ...]
    results: Cells
    figures: Tuple[Path, ...]


def kind(comparison: Comparison) -> str:
    """Which of `KINDS` a verdict is."""
    return next(one for one in KINDS if comparison.verdict.startswith(one))


def counts(done: Sequence[Reproduced]) -> str:
    """How many comparisons agree, differ, and are not given in the notes."""
    found = Counter(kind(comparison) for one in done for comparison in one.comparisons)
    agree, differ, not_given = (found[one] for one in KINDS)
    return f"{agree} agree with the notes, {differ} differ, {not_given} not given in the notes"


def markdown_page(done: Sequence[Reproduced]) -> str:
    """All comparisons in one table, with the experiment's name before each."""
    head = ["experiment", *comparison_cells([])[0]]
    rows = [[one.name, *row] for one in done for row in comparison_cells(one.comparisons)[1:]]
    return f"# Reproduced\n\n{counts(done)}.\n\n{markdown_table([head, *rows])}"


def html_page(done: Sequence[Reproduced]) -> str:
    """One page with a section for each experiment: title, tables, figures.

    Raises:
        UserError: a figure cannot be read.
    """
    sections = "".join(_section(one) for one in done)
    return PAGE.substitute(counts=escape(counts(done)) + ".", sections=sections)


def _section(one: Reproduced) -> str:
    tables = []
    if one.comparisons:
        tables.append(_table(comparison_cells(one.comparisons), [kind(row).split()[0] for row in one.comparisons]))
    if one.results:
        tables.append(_table(one.results, [""] * (len(one.results) - 1)))
    return SECTION.substitute(
        name=escape(one.name),
        title=escape(one.title),
        tables="\n".join(tables),
        figures="\n".join(_figure(path) for path in one.figures),
    )


def _table(cells: Cells, classes: Sequence[str]) -> str:
    head, *rows = cells
    lines = ["<tr>" + _row("th", head)]
    lines += [f'<tr class="{name}">' + _row("td", row) for name, row in zip(classes, rows)]
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _row(tag: str, cells: List[str]) -> str:
    return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _figure(path: Path) -> str:
    with told_in_one_line(path, "read"):
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    name = escape(path.stem.replace("-", " "))
    return f'<p><img alt="{name}" src="data:image/png;base64,{data}"></p>'
