"""The config reference, docs/config.md, made from the classes, their fields and their docstrings.

`python -m fl_simu.cli.reference` writes the page.
"""

import dataclasses
import inspect
import json
import math
import re
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Union

import pydantic
from typing_extensions import Annotated, get_args, get_origin, get_type_hints

from fl_simu.experiment import PARTS, TABLES, Experiment
from fl_simu.kernel.checked import lists
from fl_simu.parts import KINDS, Kind
from fl_simu.results.files import write_text

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, INTRODUCTION = DOCS / "config.md", DOCS / "config.md.in"
NOTICE = "<!-- Made by `make reference` from config.md.in and the docstrings of the classes: change those. -->"

TYPES = {str: "text", int: "integer", float: "number", bool: "boolean"}
COLUMNS = ("key", "type", "default", "meaning", "allowed")
BOUNDS = {
    "gt": "above {}",
    "ge": "{} or more",
    "lt": "below {}",
    "le": "at most {}",
    "max_length": "at most {} long",
}

HEADER = re.compile(r"[A-Z][\w ]*:$")
ENTRY = re.compile(r" {4}(\w[^:]*): (.*)$")
SPAN = re.compile(r":math:`(?P<math>[^`]+)`|`[^`]+`|docs/(?P<page>[\w-]+\.md(?:#[\w-]+)?)|(?P<special>[*<])")
# Markdown removes a backslash before punctuation, and a bar ends a table cell.
IN_MATH = {r"\|": r"\Vert ", "|": r"\vert ", r"\,": r"\thinspace "}


class Docstring(NamedTuple):
    """The content of a docstring, in Markdown.

    Fields:
        summary: its first paragraph.
        text: the other paragraphs, equations and examples.
        arguments: the meaning of each argument.
        reference: the cited source; may be empty.
    """

    summary: str
    text: Sequence[str]
    arguments: Dict[str, str]
    reference: str


def config_page() -> str:
    """The page: the introduction, the top level, the tables that are not parts, and each kind of part."""
    introduction = INTRODUCTION.read_text(encoding="utf-8").strip()
    blocks = [NOTICE, introduction, *_described("## Top level", Experiment)]
    for name, cls in TABLES.items():
        blocks += _described("## " + name, cls)
    # A part that belongs to several kinds is described under the first one.
    homes: Dict[type, str] = {}
    for name in PARTS:
        blocks += _kind(name, KINDS[name], homes)
    return "\n\n".join(blocks) + "\n"


def _kind(key: str, kind: Kind, homes: Dict[type, str]) -> Iterator[str]:
    about = read_docstring(kind.described_by)
    yield f"## {key}"
    yield about.summary
    yield from about.text
    own: Dict[str, type] = {}
    elsewhere: Dict[str, List[str]] = {}
    for name, part in kind.rows.items():
        if homes.setdefault(part, key) == key:
            own[name] = part
        else:
            elsewhere.setdefault(homes[part], []).append(f"`{name}`")
    for family, names in _families(own, kind.base).items():
        about = read_docstring(family)
        yield ", ".join(f"`{name}`" for name in names) + ": " + " ".join([about.summary, *about.text])
    for home, names in elsewhere.items():
        yield f"Any [{home}](#{home}) too, with the same arguments and defaults: {', '.join(names)}."
    for name, part in own.items():
        yield from _described(f"### {name}", part)


def _families(parts: Mapping[str, type], contract: type) -> Dict[type, List[str]]:
    """The public classes between a contract and its parts, most general first, and the names of their parts."""
    families: Dict[type, List[str]] = {}
    for name, part in parts.items():
        for base in reversed(part.__mro__[1:]):
            between = issubclass(base, contract) and base not in (contract, *parts.values())
            if between and base.__doc__ and not base.__name__.startswith("_"):
                families.setdefault(base, []).append(name)
    return dict(sorted(families.items(), key=lambda family: len(family[0].__mro__)))


def _described(heading: str, cls: type) -> Iterator[str]:
    docstring = read_docstring(cls)
    yield heading
    yield docstring.summary
    yield from docstring.text
    yield table(cls)
    if docstring.reference:
        yield f"Reference: {docstring.reference}"


def table(cls: Any) -> str:
    """The arguments of a class, one per row, without empty columns."""
    rows = [_row(cls, field) for field in dataclasses.fields(cls) if field.init]
    if not rows:
        return "No arguments."
    used = [place for place in range(len(COLUMNS)) if any(row[place] for row in rows)]
    lines = [[COLUMNS[place] for place in used], ["---"] * len(used)]
    lines += [[re.sub(r"(?<!\\)\|", r"\\|", row[place]) for place in used] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row(cls: Any, field: "dataclasses.Field[Any]") -> Sequence[str]:
    key, name = f"`{field.name}`", field.name
    if cls is Experiment and name in (*PARTS, *TABLES):
        # This key has its own section.
        about = read_docstring(KINDS[name].described_by if name in PARTS else TABLES[name]).summary.rstrip(".")
        meaning, link = about[0].lower() + about[1:], f"see [{name}](#{name})"
        if name in TABLES:
            return key, "table", "", meaning, link
        kind = "part" if isinstance(field.metadata["part"], str) else "list of parts"
        return key, kind, default(field), meaning, link
    hint = get_type_hints(cls, include_extras=True)[name] if isinstance(field.type, str) else field.type
    return key, type_name(hint), default(field), _meaning(cls, name), allowed(hint)


def _meaning(cls: type, name: str) -> str:
    """The meaning of an argument, from the docstring of the class or of its nearest base that documents it."""
    for base in cls.__mro__:
        found = read_docstring(base).arguments.get(name)
        if found:
            return found.rstrip(".")
    raise ValueError(f"the docstring of {cls.__module__}.{cls.__name__} says nothing of its argument {name}")


def type_name(hint: Any) -> str:
    """The name of a type on the page."""
    origin, inner = get_origin(hint), [one for one in get_args(hint) if one not in (type(None), ...)]
    if origin is Annotated:
        return type_name(inner[0])
    if origin is Union:
        return " or ".join(map(type_name, inner))
    if origin is tuple:
        return f"list of {type_name(inner[0])}s" if inner[0] is not str else "list of texts"
    return TYPES.get(hint, "part")


def default(field: "dataclasses.Field[Any]") -> str:
    """A default in TOML notation."""
    if "part" in field.metadata:
        return f"`{json.dumps(lists(field.metadata['part']))}`"
    if field.default_factory is not dataclasses.MISSING:
        return _literal(field.default_factory())
    return "required" if field.default is dataclasses.MISSING else _literal(field.default)


def _literal(value: Any) -> str:
    if value is None:
        return "not given"
    if value in (math.inf, -math.inf):
        return f"`{value}`"
    return f"`{json.dumps(lists(value), default=_name)}`"


def _name(part: Any) -> str:
    return next(kind.name_of(part) for kind in KINDS.values() if kind.holds(part))


def allowed(hint: Any) -> str:
    """The bounds of a type; empty if it has none."""
    marks = [mark for mark in get_args(hint)[1:] if isinstance(mark, pydantic.fields.FieldInfo)]
    stated = [bound for mark in marks for bound in mark.metadata]
    bounds = {name: _number(getattr(one, name)) for one in stated for name in BOUNDS if hasattr(one, name)}
    if "ge" in bounds and "le" in bounds:
        return f"{bounds['ge']} to {bounds['le']}"
    return ", ".join(words.format(bounds[name]) for name, words in BOUNDS.items() if name in bounds)


def _number(value: Any) -> str:
    """A number; a large one as a power of 10 or 2 if it is one."""
    if isinstance(value, float) or value < 10_000:
        return f"{value:g}"
    zeros, bits = len(str(value)) - 1, value.bit_length()
    powers = {10**zeros: f"10^{zeros}", 2 ** (bits - 1): f"2^{bits - 1}", 2**bits - 1: f"2^{bits} - 1"}
    return powers.get(value, f"{value:,}")


def read_docstring(cls: type) -> Docstring:
    """The docstring of a class, without its doctests and its `Raises:` section."""
    summary, text, arguments, reference = "", [], {}, ""
    for block in re.split(r"\n\s*\n", inspect.cleandoc(cls.__dict__.get("__doc__") or "")):
        first, *rest = block.split("\n")
        if rest and HEADER.match(first):
            arguments.update(_entries(rest) if first == "Args:" else {})
        elif first.startswith("Reference: "):
            reference = markdown(block[len("Reference: ") :])
        elif first.startswith(".. math::"):
            text.append(f"$${_formula(block[len('.. math::') :])}$$")
        elif first.startswith("    "):
            text.append("```toml\n" + inspect.cleandoc(block) + "\n```")
        elif not first.startswith(">>>"):
            text.append(markdown(block))
    summary, *text = text or [""]
    return Docstring(summary, text, arguments, reference)


def _entries(lines: Sequence[str]) -> Dict[str, str]:
    """The entries of `Args:`; an entry for several names, "low, high: ...", is repeated for each."""
    entries: Dict[str, str] = {}
    names: List[str] = []
    for line in lines:
        found = ENTRY.match(line)
        if found:
            names = found[1].split(", ")
            entries.update(dict.fromkeys(names, found[2]))
        else:
            entries.update({name: entries[name] + " " + line.strip() for name in names})
    return {name: markdown(meaning) for name, meaning in entries.items()}


def markdown(text: str) -> str:
    """One paragraph of a docstring in Markdown."""
    return SPAN.sub(_span, " ".join(text.split()))


def _span(found: "re.Match[str]") -> str:
    if found["math"]:
        return f"${_formula(found['math'])}$"
    if found["page"]:
        return "[{}]({})".format(found["page"].partition("#")[0], found["page"])
    return "\\" + found["special"] if found["special"] else found[0]


def _formula(formula: str) -> str:
    """A formula in the form that GitHub's Markdown accepts."""
    return re.sub(r"\\\||\||\\,", lambda found: IN_MATH[found[0]], " ".join(formula.split()))


if __name__ == "__main__":
    write_text(PAGE, config_page())
