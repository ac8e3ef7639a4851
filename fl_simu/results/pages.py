"""Self-contained HTML pages, and the page of reproduced results."""

import base64
import hashlib
import json
import math
import pkgutil
from collections import Counter
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import Any, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import UserError
from fl_simu.kernel.packages import install_command, installed
from fl_simu.results.comparisons import Comparison, comparison_cells
from fl_simu.results.files import read_bytes
from fl_simu.results.findings import VERDICTS, Finding, finding_cells
from fl_simu.results.tables import Cells, markdown_table

# The first bytes of every PNG file.
PNG = b"\x89PNG\r\n\x1a\n"
KINDS = ("agrees", "differs", "not given in the notes")

SECTION = Template("""<section id="$anchor">
<h2>$name</h2>
<p>$lead</p>
$content
</section>
""")

# These files form one script on a page, in this order, after Plotly.
SCRIPTS = ("data.js", "look.js", "curves.js", "uploads.js", "main.js")

# A page loads nothing, and runs no scripts except those with its hashes, in particular none from a run.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Table:
    """A table on a page.

    Args:
        cells: the header row first.
        classes: for each row below the header, a class that the page knows, or "".
        caption: what it shows; "" if the section says it.
        heat: the shade of each cell below the header and right of the first column, 0 to 1; shape (rows, columns).
    """

    cells: Cells
    classes: Sequence[str] = ()
    caption: str = ""
    heat: Optional[np.ndarray] = None


@dataclass(frozen=True)
class Section:
    """A part of a page.

    Args:
        name: its heading, unique on the page.
        lead: a sentence below it.
        tables: in order.
        figures: PNG files in memory, by description.
        text: shown literally at the end, when the reader clicks its name.
        text_name: the name of the text.
        charts: numbers from `results.charts` for the charts below the tables; only one section of a page has them.
        below: tables below charts and figures.
    """

    name: str
    lead: str
    tables: Sequence[Table] = ()
    figures: Mapping[str, bytes] = field(default_factory=dict)
    text: str = ""
    text_name: str = "text"
    charts: Optional[Mapping[str, Any]] = None
    below: Sequence[Table] = ()


def html_page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """A self-contained page with its figures and charts; all texts are shown literally."""
    scripts = _chart_scripts() if any(one.charts is not None for one in sections) else []
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    places = [f'<li><a href="#part-{at}">{escape(one.name)}</a></li>' for at, one in enumerate(sections, start=1)]
    page = Template(_page_file("frame.html")).substitute(
        policy=POLICY + (f"; script-src {hashes}" if scripts else ""),
        title=escape(title),
        lead=escape(lead),
        style=_page_file("page.css"),
        contents=f'<nav aria-label="contents"><ul>{"".join(places)}</ul></nav>' if len(places) > 1 else "",
        sections="".join(_section(one, at) for at, one in enumerate(sections, start=1)),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
    )
    # The name of a folder may contain bytes that are not valid text.
    return page.encode("utf-8", "replace").decode("utf-8")


def require_plotly() -> None:
    """Check for plotly, before computing anything that ends in charts.

    Raises:
        UserError: plotly is not installed.
    """
    if not installed("plotly"):
        raise UserError(f"plotly, which draws the charts, is not installed: `{install_command('plotly')}`")


def _chart_scripts() -> List[str]:
    """Plotly, and the script that draws the charts with it."""
    require_plotly()
    try:
        plotly = pkgutil.get_data("plotly", "package_data/plotly.min.js") or b""
    except OSError:
        plotly = b""
    if not plotly or b"</script" in plotly or b"<!--" in plotly:
        raise UserError(f"plotly has no script for a page: `{install_command('plotly')} --force-reinstall`")
    ours = "\n".join(map(_page_file, SCRIPTS))
    return [_lines(plotly), f'(() => {{\n"use strict";\n{ours}}})();']


def _page_file(name: str) -> str:
    """The text of a file in the folder `page`."""
    found = pkgutil.get_data("fl_simu.results", f"page/{name}")
    assert found is not None, "the package holds its pages"
    return _lines(found)


def _lines(data: bytes) -> str:
    """The text with line ends as in a browser, which also computes the hash."""
    return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def json_text(value: Any) -> str:
    """A value as JSON for a script in a page, without any characters that look like HTML.

    >>> print(json_text("</script><!-- & \u2028"))
    "\\u003c/script\\u003e\\u003c!-- \\u0026 \\u2028"
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def figures_of(paths: Sequence[Path]) -> Mapping[str, bytes]:
    """The content of PNG files, by name without hyphens.

    Raises:
        UserError: a file cannot be read, is a link, or is not a PNG.
    """
    found = {}
    for path in paths:
        data = b"" if path.is_symlink() else read_bytes(path)
        if not data.startswith(PNG):
            raise UserError(f"{path} is no PNG file")
        found[path.stem.replace("-", " ")] = data
    return found


def _section(one: Section, at: int) -> str:
    content = [_table(table, one.name) for table in one.tables]
    if one.charts is not None:
        content.append(Template(_page_file("charts.html")).substitute(data=json_text(one.charts)))
    content += [_figure(name, png, one.name) for name, png in one.figures.items()]
    content += [_table(table, one.name) for table in one.below]
    if one.text:
        text = f"<pre>{escape(one.text)}</pre>"
        content.append(f"<details><summary>{escape(one.text_name)}</summary>\n{text}</details>")
    told = {"name": escape(one.name), "lead": escape(one.lead), "content": "\n".join(content)}
    return SECTION.substitute(anchor=f"part-{at}", **told)


def _table(table: Table, section: str) -> str:
    head, *rows = table.cells
    name = escape(table.caption or section)
    lines = [f'<div class="wide" role="region" aria-label="{name}" tabindex="0"><table>']
    lines += [f"<caption>{name}</caption>"] if table.caption else []
    lines += [
        "<thead><tr>" + "".join(_cell("th", cell, ' scope="col"') for cell in head) + "</tr></thead>",
        "<tbody>",
    ]
    for at, row in enumerate(rows):
        opened = f'<tr class="{table.classes[at]}">' if table.classes else "<tr>"
        shades = [""] * len(row) if table.heat is None else [_shade(share) for share in table.heat[at]]
        cells = [_cell("th", cell, ' scope="row"') for cell in row[:1]]
        cells += [_cell("td", cell, shade) for cell, shade in zip(row[1:], shades)]
        lines.append(opened + "".join(cells) + "</tr>")
    return "\n".join([*lines, "</tbody>", "</table></div>"])


def _shade(share: float) -> str:
    """The class of a cell: none up to 0.1, then one for each step of 0.2."""
    return f' class="s{math.ceil(5 * min(share, 1.0))}"' if share > 0.1 else ""


def _cell(tag: str, text: str, attributes: str) -> str:
    return f"<{tag}{attributes}>{escape(text)}</{tag}>"


def _figure(name: str, png: bytes, section: str) -> str:
    data = base64.b64encode(png).decode("ascii")
    return f'<p><img alt="{escape(name)} of {escape(section)}" src="data:image/png;base64,{data}"></p>'


@dataclass(frozen=True)
class Reproduced:
    """The results of one experiment.

    Args:
        name: of its folder.
        title: its topic, in one line.
        comparisons: of the notes with our results; may be empty.
        results: the table of a study, the header first; empty for a script.
        figures: paths of PNG files.
        findings: claims with their results.
    """

    name: str
    title: str
    comparisons: Tuple[Comparison, ...]
    results: Cells
    figures: Tuple[Path, ...]
    findings: Tuple[Finding, ...] = ()


def kind(comparison: Comparison) -> str:
    """The one of `KINDS` that a verdict is."""
    return next(one for one in KINDS if comparison.verdict.startswith(one))


def _class(finding: Finding) -> str:
    """The class of its row on a page."""
    return finding.kind.split()[0]


def counts(done: Sequence[Reproduced]) -> str:
    """The numbers of comparisons and of claims by verdict, in words."""
    found = Counter(kind(comparison) for one in done for comparison in one.comparisons)
    agree, differ, not_given = (found[one] for one in KINDS)
    told = f"{agree} agree with the notes, {differ} differ, {not_given} not given in the notes"
    claims = Counter(finding.kind for one in done for finding in one.findings)
    if not claims:
        return told
    agree, differ, untold = (claims[one] for one in VERDICTS)
    of_claims = f"of {sum(claims.values())} claims {agree} agree, {differ} differ, {untold} cannot be told"
    # Without any value from the notes, there is nothing to compare with them.
    compared = any(one.notes is not None for each in done for one in each.comparisons)
    return f"{told}; {of_claims}" if compared else of_claims


def markdown_page(done: Sequence[Reproduced]) -> str:
    """All comparisons in one table and all claims in another, each row with the experiment's name."""
    tables = [markdown_table(cells) for cells in _everything(done)]
    return f"# Reproduced\n\n{counts(done)}.\n\n" + "\n".join(tables)


def _everything(done: Sequence[Reproduced]) -> List[Cells]:
    """The tables that have rows; if neither has, that of the comparisons."""
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
    """One HTML page: all claims in one table, then a section with title, tables and figures per experiment.

    Raises:
        UserError: a figure cannot be read.
    """
    sections = []
    if any(one.findings for one in done):
        classes = [_class(finding) for one in done for finding in one.findings]
        lead = "Claims of papers, and our own from before the runs, with the results."
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
