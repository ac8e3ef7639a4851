"""A table of texts, its head first, as Markdown or LaTeX."""

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


# What LaTeX takes for something else in a text, also with the old text encoding; and what its fonts may lack.
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
# A cell of more characters is set as a paragraph.
LONGEST_LINE = 40


def latex_text(text: str) -> str:
    """A text as LaTeX sets it, whatever its characters.

    >>> print(latex_text("50 % of $x_1$ & more"))
    50 \\% of \\$x\\_1\\$ \\& more
    """
    return "".join(_IN_LATEX.get(sign, sign) for sign in " ".join(text.split()))


def latex_table(cells: Sequence[Sequence[str]]) -> str:
    """The cells as a `tabular` of the package booktabs, with a final newline; numbers to the right.

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
    wide = sum(map(_is_wide, columns))
    kinds = "".join(_kind(column, wide) for column in columns)
    # After the end of a row LaTeX takes a bracket or a star for an option of it.
    lines = [" & ".join(map(latex_text, row)) + r" \\" for row in cells]
    head, *rows = ["{}" + line if line[:1] in ("[", "*") else line for line in lines]
    needs = "booktabs,array" if wide else "booktabs"
    return "\n".join(
        [
            rf"% \usepackage{{{needs}}}",
            rf"\begin{{tabular}}{{{kinds}}}",
            *(r"\toprule", head, r"\midrule", *rows, r"\bottomrule"),
            r"\end{tabular}",
            "",
        ]
    )


def _is_wide(column: Sequence[str]) -> bool:
    return max(map(len, column)) > LONGEST_LINE


def _kind(column: Sequence[str], wide: int) -> str:
    """Of a column of a tabular, some of which are wide: l, r, or a paragraph."""
    if _is_wide(column):
        return rf">{{\raggedright\arraybackslash}}p{{{0.8 / wide:.2f}\linewidth}}"
    filled = [cell for cell in column[1:] if cell]
    return "r" if filled and all(re.match(r"[-+]?\d|never$|not ", cell) for cell in filled) else "l"
