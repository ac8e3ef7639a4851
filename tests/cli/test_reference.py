"""docs/config.md agrees with the docstrings of the classes."""

import dataclasses
import math
import re
from dataclasses import dataclass, field
from typing import Optional, Tuple

import pytest
from pydantic import Field
from typing_extensions import Annotated

from fl_simu.cli import reference
from fl_simu.experiment import PARTS, TABLES, Experiment
from fl_simu.models import Mlp
from fl_simu.parts import KINDS


@pytest.fixture(scope="module")
def page():
    return reference.config_page()


def test_the_page_is_what_the_classes_say(page):
    found = reference.PAGE.read_text(encoding="utf-8")
    assert found == page, "docs/config.md is stale: run `make reference` and commit what it writes"


def sections(text, level):
    """Heading -> the text under it."""
    _, *parts = re.split(rf"^{level} (.*)$", text, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2]))


def keys(text):
    """The keys in the tables of a section, without those of its parts."""
    return re.findall(r"^\| `(\w+)` \|", text.split("\n### ")[0], re.MULTILINE)


def names(cls):
    return [one.name for one in dataclasses.fields(cls)]


def test_every_table_part_and_argument_is_there(page):
    told = sections(page, "##")
    assert list(told) == ["Top level", *TABLES, *PARTS]
    assert keys(told["Top level"]) == names(Experiment)
    assert all(keys(told[table]) == names(cls) for table, cls in TABLES.items())
    described = []
    for table in PARTS:
        for name, text in sections(told[table], "###").items():
            described.append(KINDS[table].rows[name])
            assert keys(text) == names(described[-1]), f"{table} {name}"
    # A part of several kinds, such as a channel that is also a downlink, is described once.
    rows = [part for table in PARTS for part in KINDS[table].rows.values()]
    assert described == list(dict.fromkeys(rows))


@dataclass(frozen=True)
class Base:
    r"""A base.

    Args:
        low, high: bounds, 1 or more.
        far: overridden.
    """

    low: int = 1


@dataclass(frozen=True)
class Example(Base):
    r"""The first line,
    which goes on.

    It takes :math:`\|x\|` * 2 of `a * b`; see docs/channel.md#options.

    .. math:: a \\
        + b

    An example:

        codec = "affine"

    Args:
        path: where it is, and more
            of it.
        share: :math:`s`, a|b.

    Raises:
        UserError: never.

    >>> 1 + 1
    2

    Reference: Somebody 2020,
    "A title".
    """

    share: float = math.inf
    path: str = ""


def test_a_docstring_in_markdown():
    told = reference.read_docstring(Example)
    assert told.summary == "The first line, which goes on."
    assert told.text == [
        r"It takes $\Vert x\Vert $ \* 2 of `a * b`; see [channel.md](channel.md#options).",
        r"$$a \\ + b$$",
        "An example:",
        '```toml\ncodec = "affine"\n```',
    ]
    assert told.arguments == {"path": "where it is, and more of it.", "share": "$s$, a|b."}
    assert told.reference == 'Somebody 2020, "A title".'


def test_a_base_class_tells_of_its_arguments():
    assert reference.table(Example).splitlines() == [
        "| key | type | default | meaning |",
        "| --- | --- | --- | --- |",
        "| `low` | integer | `1` | bounds, 1 or more |",
        r"| `share` | number | `inf` | $s$, a\|b |",
        '| `path` | text | `""` | where it is, and more of it |',
    ]


def test_an_argument_that_no_docstring_names_is_an_error():
    @dataclass(frozen=True)
    class Silent(Example):
        """It says nothing."""

        loud: bool = False

    with pytest.raises(ValueError, match=r"docstring of .*Silent says nothing of its argument loud"):
        reference.table(Silent)


@pytest.mark.parametrize(
    "hint, name",
    [
        (str, "text"),
        (bool, "boolean"),
        (Optional[int], "integer"),
        (Annotated[Optional[float], Field(ge=1)], "number"),
        (Tuple[int, ...], "list of integers"),
        (Tuple[str, ...], "list of texts"),
        (Mlp, "part"),
        (Tuple[Mlp, ...], "list of parts"),
    ],
)
def test_what_a_type_is_called(hint, name):
    assert reference.type_name(hint) == name


@pytest.mark.parametrize(
    "given, told",
    [
        (field(), "required"),
        (field(default=None), "not given"),
        (field(default=False), "`false`"),
        (field(default=(1, 2)), "`[1, 2]`"),
        (field(default=-math.inf), "`-inf`"),
        (field(default=1e-6), "`1e-06`"),
        (field(default=Mlp()), '`"mlp"`'),
        (field(default=(Mlp(), Mlp())), '`["mlp", "mlp"]`'),
        (field(default_factory=Mlp, metadata={"part": "mlp"}), '`"mlp"`'),
        (field(default_factory=tuple), "`[]`"),
    ],
)
def test_how_a_default_is_written(given, told):
    assert reference.default(given) == told


@pytest.mark.parametrize(
    "hint, told",
    [
        (int, ""),
        (Annotated[int, Field(ge=0, le=2**63 - 1)], "0 to 2^63 - 1"),
        (Annotated[int, Field(ge=1, le=2**31)], "1 to 2^31"),
        (Annotated[float, Field(gt=0, lt=0.5)], "above 0, below 0.5"),
        (Annotated[int, Field(le=12_345)], "at most 12,345"),
        (Annotated[str, Field(max_length=100, pattern="a")], "at most 100 long"),
    ],
)
def test_what_bounds_allow(hint, told):
    assert reference.allowed(hint) == told
