"""A table of texts, its head first, as Markdown."""

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
