"""The laws of parts of all kinds."""

import dataclasses
from typing import Any

from fl_simu.kernel.checked import make, plain
from fl_simu.kernel.errors import UserError
from fl_simu.laws.base import Law, expect, kind_of, once, same
from fl_simu.parts import Adapted


def a_part_is_a_frozen_dataclass(part: Any) -> None:
    """So it can be compared, printed and pickled, and a run cannot change it."""
    kind_of(part).take(part)


def equal_fields_make_equal_parts(part: Any) -> None:
    """Another part with the same fields is equal, and has the same hash if its fields have one."""
    other = dataclasses.replace(part)
    expect(other == part, "another one with the same fields differs from it; right is an equal one")
    try:
        hash(tuple(getattr(part, field.name) for field in dataclasses.fields(part)))
    except TypeError:
        return
    same("the hash of another one with the same fields", hash(other), hash(part))


def made_again_from_its_table_it_is_equal(part: Any) -> None:
    """Its description in a config makes an equal part; if no config can name it, its arguments do.

    An adapted object, such as a function that makes a module, has no fields that describe it.
    """
    kind = kind_of(part)
    if isinstance(part, Adapted):
        return
    try:
        kind.find(kind.name_of(part))
    except UserError:
        same("the part made again", make(type(part), plain(part), kind.table + "."), part)
    else:
        same("the part made again", kind.build(kind.describe(part)), part)


LAWS = (
    Law(a_part_is_a_frozen_dataclass, once),
    Law(equal_fields_make_equal_parts, once),
    Law(made_again_from_its_table_it_is_equal, once),
)
