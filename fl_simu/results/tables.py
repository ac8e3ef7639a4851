"""A table of texts, with the header first, as Markdown or LaTeX."""

import re
from typing import List, Sequence

Cells = List[List[str]]


def markdown_table(cells: Sequence[Sequence[str]]) -> str:
    """The cells as a table in Markdown, with a final newline.

    >>> print(markdown_table([["what", "value"], ["a|b", "1"]]), end="")
    | what | value |
    | --- | --- |
    | a\\|b | 1 |
    """
    head, *rows = [[" ".join(cell.split()).replace("|", "\\|") for cell in row] for row in cells]
    return "".join("| " + " | ".join(row) + " |\n" for row in [head, ["---"] * len(head), *rows])


# Characters that LaTeX interprets in a text, also with the old text encoding, or that its fonts may lack.
_IN_LATEX = {
    **{sign: "\\" + sign for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"{\textquotedbl}",
    "±": r"$\pm$",
    "\u2212": r"$-$",
    "\u00d7": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "²": r"$^2$",
    "µ": r"$\mu$",
    "ε": r"$\varepsilon$",
    "λ": r"$\lambda$",
}
# A table with a longer cell than this is as wide as the text, and its text columns share the remaining width.
LONGEST_LINE = 40
# In such a table, a text column with a longer cell than this is broken into lines.
LONGEST_WORDS = 16


def latex_text(text: str) -> str:
    """A text escaped for LaTeX.

    >>> print(latex_text("50 % of $x_1$ & more"))
    50 \\% of \\$x\\_1\\$ \\& more
    """
    return "".join(_IN_LATEX.get(sign, sign) for sign in " ".join(text.split()))


def latex_table(cells: Sequence[Sequence[str]]) -> str:
    """The cells as a `tabular` with the package booktabs, with a final newline; numbers are right-aligned.

    >>> print(latex_table([["codec", "accuracy [%]"], ["top_k", "91.7 ± 0.2"]]), end="")
    % \\usepackage{booktabs}
    \\begin{tabular}{lr}
    \\toprule
    codec & accuracy [\\%] \\\\
    \\midrule
    top\\_k & 91.7 $\\pm$ 0.2 \\\\
    \\bottomrule
    \\end{tabular}
    """
    columns = [[" ".join(cell.split()) for cell in column] for column in zip(*cells)]
    wide = max(map(_longest, columns)) > LONGEST_LINE
    kinds = "".join(_kind(column, wide) for column in columns)
    # After the end of a row, LaTeX interprets a bracket or a star as an option.
    lines = [" & ".join(map(latex_text, row)) + r" \\" for row in cells]
    head, *rows = ["{}" + line if line[:1] in ("[", "*") else line for line in lines]
    name, width = ("tabularx", r"{\linewidth}") if wide else ("tabular", "")
    return "\n".join(
        [
            r"% \usepackage{booktabs,tabularx}" if wide else r"% \usepackage{booktabs}",
            rf"\begin{{{name}}}{width}{{{kinds}}}",
            *(r"\toprule", head, r"\midrule", *rows, r"\bottomrule"),
            rf"\end{{{name}}}",
            "",
        ]
    )


def _longest(column: Sequence[str]) -> int:
    return max(map(len, column))


def _kind(column: Sequence[str], wide: bool) -> str:
    """The type of a table column: l, r or, in a wide table, X, which is broken into lines."""
    filled = [cell for cell in column[1:] if cell]
    numbers = all(re.match(r"[-+]?\d|never$|not ", cell) for cell in filled)
    if filled and numbers and _longest(filled) <= LONGEST_LINE:
        return "r"
    return r">{\raggedright\arraybackslash}X" if wide and _longest(column) > LONGEST_WORDS else "l"
