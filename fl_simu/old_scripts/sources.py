"""Read a script or notebook as Python, without the lines that only a notebook understands."""

import ast
import json
import linecache
import re
from pathlib import Path
from types import CodeType
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple

from fl_simu.kernel.errors import UserError, brief
from fl_simu.old_scripts.notices import Tell
from fl_simu.results.files import told_in_one_line

# Spaces on web pages that Python does not accept, and plain ones for them.
SPACES = str.maketrans({"\u00a0": " ", "\u3000": " "})
# Cell magics that run the cell, and line magics that run the rest of their line.
AROUND = ("time", "timeit", "capture", "prun")
BEFORE = ("time", "prun")
# A line of a notebook that is not Python: a magic, a shell line, a help request, or an assignment from one.
ODD = re.compile(r"\s*([%!?]|[\w\s,.\[\]'\"]+=\s*[%!]\s*\w|[\w.]+\?\??\s*$)")
MAGIC = re.compile(r"\s*%(\w+)\s+(\S.*)")


class Piece(NamedTuple):
    """A script, or one cell of a notebook.

    Args:
        name: the name in tracebacks.
        code: its statements; in a cell, without a last statement that is an expression.
        last: that expression, whose value a notebook shows below the cell.
    """

    name: str
    code: CodeType
    last: Optional[CodeType] = None


def read(path: Path, tell: Tell) -> Tuple[List[Piece], bool]:
    """The pieces of a script or notebook, in order, and whether it is a notebook.

    Raises:
        UserError: it cannot be read, or is neither Python nor a notebook of Python.
        SyntaxError: it has a syntax error.
    """
    with told_in_one_line(path, "read"):
        raw = path.read_bytes()
    if path.suffix == ".ipynb" or raw.lstrip()[:1] == b"{":
        table = _notebook(path, raw)
        if table is not None:
            pieces = [_cell(f"{path}, cell {at}", text, tell) for at, text in enumerate(_texts(path, table), 1)]
            if not pieces:
                raise UserError(f"{path} has no cell of code")
            return [piece for piece in pieces if piece is not None], True
    return [Piece(str(path), _script(path, raw, tell))], False


def _notebook(path: Path, raw: bytes) -> Any:
    """The JSON content of a notebook; None if the file is Python after all."""
    try:
        table = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        if path.suffix != ".ipynb":
            return None
        raise UserError(f"{path} is no notebook: {brief(str(error))}") from error
    if not isinstance(table, dict) or not isinstance(table.get("cells", table.get("worksheets")), list):
        raise UserError(f"{path} is neither Python nor a notebook: JSON without cells")
    return table


def _texts(path: Path, table: Any) -> Iterator[str]:
    """The text of each code cell, also in notebooks older than format 4, which keep cells in worksheets."""
    try:
        about = table.get("metadata") or {}
        language = (about.get("kernelspec") or {}).get("language") or "python"
        language = (about.get("language_info") or {}).get("name") or language
        if language.lower() not in ("python", "ipython"):
            raise UserError(f"{path} is a notebook of {brief(language)}, and not of Python")
        sheets = [table] if "cells" in table else table["worksheets"]
        for cell in (cell for sheet in sheets for cell in sheet["cells"]):
            if cell["cell_type"] == "code":
                text = cell["source"] if "source" in cell else cell["input"]
                yield text if isinstance(text, str) else "".join(text)
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no notebook: a cell without its type or source") from error


def _cell(name: str, text: str, tell: Tell) -> Optional[Piece]:
    first, _, rest = text.lstrip("\n").partition("\n")
    if first.startswith("%%"):
        magic = first[2:].split()[:1]
        if magic and magic[0] not in AROUND:
            tell(f"{name} is left out: {first.strip()}")
            return None
        tell(f"{name}: left out: {first.strip()}")
        blank = len(text) - len(text.lstrip("\n"))
        text = "\n" * (blank + 1) + rest
    tree, text = _parsed(text, name, tell)
    _remember(name, text)
    end = tree.body[-1] if tree.body else None
    if not isinstance(end, ast.Expr) or text.rstrip().endswith(";"):
        return Piece(name, compile(tree, name, "exec"))
    tree.body.pop()
    last = compile(ast.Expression(end.value), name, "eval")
    return Piece(name, compile(tree, name, "exec"), last)


def _script(path: Path, raw: bytes, tell: Tell) -> CodeType:
    name = str(path)
    if b"\0" in raw:
        raise UserError(f"{path} is neither Python nor a notebook: it is no text")
    try:
        # Compiled from bytes, since the first lines may declare the encoding.
        return compile(raw, name, "exec")
    except SyntaxError as error:
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise error from None
        try:
            tree, text = _parsed(text, name, tell)
        except SyntaxError:
            if path.suffix == ".py":
                raise
            told = f"{path} is neither Python nor a notebook: line {error.lineno}: {error.msg}"
            raise UserError(told) from error
        _remember(name, text)
        return compile(tree, name, "exec")


def _parsed(text: str, name: str, tell: Tell) -> Tuple[ast.Module, str]:
    """Parse a text; if it is not Python, leave out what only notebooks and web pages add.

    Raises:
        SyntaxError: it is not Python even then.
    """
    left_out: List[Tuple[int, str]] = []
    while True:
        try:
            tree = ast.parse(text, name)
            break
        except SyntaxError as error:
            if text.translate(SPACES) != text:
                text = text.translate(SPACES)
                tell(f"{name} has spaces that Python does not take, as of web pages; they stand for plain ones")
                continue
            lines = text.split("\n")
            at = (error.lineno or 0) - 1
            if not 0 <= at < len(lines) or not ODD.match(lines[at]):
                raise
            lines, odd = _without(lines, at)
            left_out.append((at, odd))
            text = "\n".join(lines)
    for at, line in sorted(left_out):
        tell(f"{name}, line {at + 1}: left out: {line}")
    return tree, text


def _without(lines: List[str], at: int) -> Tuple[List[str], str]:
    """Leave out an odd line and its continuation; return that line too. A statement after %time stays."""
    odd, magic = lines[at].strip(), MAGIC.match(lines[at])
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    if magic and magic.group(1) in BEFORE:
        return [*lines[:at], indent + magic.group(2), *lines[at + 1 :]], "%" + magic.group(1)
    end = at
    while lines[end].endswith("\\") and end + 1 < len(lines):
        end += 1
    return [*lines[:at], indent + "pass", *[""] * (end - at), *lines[end + 1 :]], odd


def _remember(name: str, text: str) -> None:
    """Let tracebacks and `inspect` find source lines that differ from those in any file."""
    linecache.cache[name] = (len(text), None, text.splitlines(True), name)
