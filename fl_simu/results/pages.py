"""HTML pages that need nothing beside them, and what was reproduced on one of them."""

import base64
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import List, Mapping, Sequence, Tuple

from fl_simu.kernel.errors import UserError
from fl_simu.results.comparisons import Comparison, comparison_cells
from fl_simu.results.files import read_bytes
from fl_simu.results.findings import VERDICTS, Finding, finding_cells
from fl_simu.results.tables import Cells, markdown_table

# What every PNG file begins with.
PNG = b"\x89PNG\r\n\x1a\n"
KINDS = ("agrees", "differs", "not given in the notes")

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 16px/1.5 sans-serif; color: #222; max-width: 70em; margin: 2em auto; padding: 0 1em; }
h2 { margin-top: 2.5em; border-top: 1px solid #bbb; padding-top: 1em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 1em 0; font-size: 0.9em; }
th, td { border: 1px solid #bbb; padding: 0.25em 0.6em; text-align: left; vertical-align: top; }
th { background: #eee; }
tr.agrees td { background: #eef7ee; }
tr.differs td { background: #fbeaea; }
tr.cannot td { background: #fff7e0; }
img { max-width: 100%; }
pre { background: #f6f6f6; padding: 1em; overflow-x: auto; font-size: 0.85em; }
</style>
</head>
<body>
<h1>$title</h1>
<p>$lead</p>
$sections
</body>
</html>
""")

SECTION = Template("""<section id="$name">
<h2>$name</h2>
<p>$lead</p>
$content
</section>
""")


@dataclass(frozen=True)
class Table:
    """A table on a page.

    Args:
        cells: its head first.
        classes: of each row below the head, one of those that the page knows, or "".
    """

    cells: Cells
    classes: Sequence[str] = ()


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Args:
        name: its heading; no two of a page are the same.
        lead: a sentence below it.
        tables: in order.
        figures: PNG files in memory, by what they show.
        text: shown as it stands, last.
    """

    name: str
    lead: str
    tables: Sequence[Table] = ()
    figures: Mapping[str, bytes] = field(default_factory=dict)
    text: str = ""


def html_page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """A page that holds its figures and needs nothing else."""
    return PAGE.substitute(title=escape(title), lead=escape(lead), sections="".join(map(_section, sections)))


def figures_of(paths: Sequence[Path]) -> Mapping[str, bytes]:
    """The content of PNG files, by their names without hyphens.

    Raises:
        UserError: one cannot be read, is a link, or holds no PNG.
    """
    found = {}
    for path in paths:
        data = b"" if path.is_symlink() else read_bytes(path)
        if not data.startswith(PNG):
            raise UserError(f"{path} is no PNG file")
        found[path.stem.replace("-", " ")] = data
    return found


def _section(one: Section) -> str:
    content = [_table(table) for table in one.tables]
    content += [_figure(name, png) for name, png in one.figures.items()]
    content += [f"<pre>{escape(one.text)}</pre>"] if one.text else []
    return SECTION.substitute(name=escape(one.name), lead=escape(one.lead), content="\n".join(content))


def _table(table: Table) -> str:
    head, *rows = table.cells
    classes = table.classes or [""] * len(rows)
    lines = ["<tr>" + _row("th", head)]
    lines += [f'<tr class="{name}">' + _row("td", row) for name, row in zip(classes, rows)]
    return '<div class="wide"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _row(tag: str, cells: List[str]) -> str:
    return "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def _figure(name: str, png: bytes) -> str:
    data = base64.b64encode(png).decode("ascii")
    return f'<p><img alt="{escape(name)}" src="data:image/png;base64,{data}"></p>'


@dataclass(frozen=True)
class Reproduced:
    """What came of one experiment.

    Args:
        name: of its folder.
        title: what it is about, in one line.
        comparisons: what the notes give beside ours; may be empty.
        results: the table of a study, its head first; empty for a script.
        figures: paths of PNG files.
        findings: claims and what came of them.
    """

    name: str
    title: str
    comparisons: Tuple[Comparison, ...]
    results: Cells
    figures: Tuple[Path, ...]
    findings: Tuple[Finding, ...] = ()


def kind(comparison: Comparison) -> str:
    """Which of `KINDS` a verdict is."""
    return next(one for one in KINDS if comparison.verdict.startswith(one))


def _class(finding: Finding) -> str:
    """Of its row on a page."""
    return finding.kind.split()[0]


def counts(done: Sequence[Reproduced]) -> str:
    """How many comparisons agree, differ, and are not given in the notes, and how many claims of papers agree."""
    found = Counter(kind(comparison) for one in done for comparison in one.comparisons)
    agree, differ, not_given = (found[one] for one in KINDS)
    told = f"{agree} agree with the notes, {differ} differ, {not_given} not given in the notes"
    claims = Counter(finding.kind for one in done for finding in one.findings)
    if not claims:
        return told
    agree, differ, untold = (claims[one] for one in VERDICTS)
    of_claims = f"of {sum(claims.values())} claims {agree} agree, {differ} differ, {untold} cannot be told"
    return f"{told}; {of_claims}" if found else of_claims


def markdown_page(done: Sequence[Reproduced]) -> str:
    """All comparisons in one table, and all claims in another, with the experiment's name before each."""
    tables = [markdown_table(cells) for cells in _everything(done)]
    return f"# Reproduced\n\n{counts(done)}.\n\n" + "\n".join(tables)


def _everything(done: Sequence[Reproduced]) -> List[Cells]:
    """The tables that have rows; that of the comparisons where neither has."""
    found = [
        (
            comparison_cells([])[0],
            [[one.name, *row] for one in done for row in comparison_cells(one.comparisons)[1:]],
        ),
        (finding_cells([])[0], [[one.name, *row] for one in done for row in finding_cells(one.findings)[1:]]),
    ]
    some = [(head, rows) for head, rows in found if rows] or found[:1]
    return [[["experiment", *head], *rows] for head, rows in some]


def reproduced_page(done: Sequence[Reproduced]) -> str:
    """One HTML page: all claims in one table, then a section for each experiment with title, tables, figures.

    Raises:
        UserError: a figure cannot be read.
    """
    sections = []
    if any(one.findings for one in done):
        classes = [_class(finding) for one in done for finding in one.findings]
        lead = "What papers, and we, said before the runs, and what came out."
        sections.append(Section("claims", lead, [Table(_everything(done)[-1], classes)]))
    for one in done:
        tables = []
        if one.comparisons:
            classes = [kind(row).split()[0] for row in one.comparisons]
            tables.append(Table(comparison_cells(one.comparisons), classes))
        if one.findings:
            tables.append(Table(finding_cells(one.findings), [_class(finding) for finding in one.findings]))
        if one.results:
            tables.append(Table(one.results))
        sections.append(Section(one.name, one.title, tables, figures_of(one.figures)))
    return html_page("Reproduced", counts(done) + ".", sections)
