"""`list` in plain text: every row of every kind."""

import re

import pytest

from fl_simu.cli.inventory import PLURALS, listing
from fl_simu.cli.plain_text import formula, plain
from fl_simu.parts import KINDS
from fl_simu.studies import catalogue


@pytest.mark.parametrize("kind", [*PLURALS, "experiments"])
def test_every_row_is_plain_text(kind):
    # A hint about a missing package names a command, which must stay as typed.
    head, *rows = [re.sub(r" \(\w+ is not installed: .*\)$", "", line) for line in listing(kind).splitlines()]
    assert head == kind
    names = (
        [*catalogue.folders(), *catalogue.groups()] if kind == "experiments" else list(KINDS[PLURALS[kind]].rows)
    )
    assert sorted(row.split()[0] for row in rows) == sorted(names)
    assert [row for row in rows if set("$\\`{}") & set(row)] == []
    if kind != "experiments":
        assert [row for row in rows if not re.search(r"[.?]( \(.*\))?$", row)] == [], "a whole sentence"


# A formula, and its text form.
FORMULAS = {
    r"\alpha": "alpha",
    r"w \leftarrow w": "w leftarrow w",
    r"\frac{1}{2}": "1/2",
    r"\frac{\sigma^2}{N_0 B}": "sigma^2/(N_0 B)",
    r"\sqrt{\frac{a}{b}}": "sqrt(a/b)",
    r"\mathbb{E}[x] \leq 10^{-3}": "E[x] <= 10^-3",
    r"\left\{1, \ldots, K\right\}": "{1, ..., K}",
    r"x_{i+1} = x_i - \eta \nabla f(x_i)": "x_(i+1) = x_i - eta nabla f(x_i)",
    r"50\,\%": "50 %",
    r"2 \times 3 \cdot 4 \pm 1": "2 x 3 * 4 +- 1",
    r"\hat{g}_k^{(t)}": "g_k^((t))",
}


@pytest.mark.parametrize("tex", FORMULAS)
def test_formulas(tex):
    assert formula(tex) == FORMULAS[tex]
    for marked in (f"${tex}$", f":math:`{tex}`", rf"\({tex}\)"):
        assert plain(f"of {marked}, too") == f"of {FORMULAS[tex]}, too"


def test_a_text_without_formulas_stays():
    assert plain("Rows of `a_b`: 5 % of {x}, s = (a + b)^2") == "Rows of a_b: 5 % of {x}, s = (a + b)^2"
    assert plain("it costs $5 and C:\\temp") == "it costs USD 5 and C:temp"
