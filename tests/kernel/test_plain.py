import json
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl_simu.kernel.plain import from_plain, to_plain


@dataclass(frozen=True)
class Box:
    content: Any


class Pair(NamedTuple):
    left: Any
    right: Any


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.just(math.inf)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.integers(), st.text()), inner, max_size=3),
        inner.map(Box),
        st.builds(Pair, inner, inner),
    ),
    max_leaves=12,
)


@given(VALUES)
def test_a_value_survives_json(value):
    text = json.dumps(to_plain(value), allow_nan=False)
    again = from_plain(json.loads(text), (Box, Pair))
    # A named tuple equals a plain one; their text does not.
    assert again == value and repr(again) == repr(value)


def test_only_named_classes_are_built():
    with pytest.raises(ValueError, match="not plain data"):
        from_plain(to_plain(Box(1)), ())
