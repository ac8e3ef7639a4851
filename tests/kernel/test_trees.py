import json
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fl_simu.kernel.trees import Flat, flatten, unflatten


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
    plain, arrays = flatten(value, (Box, Pair))
    text = json.dumps(plain, allow_nan=False)
    again = unflatten(Flat(json.loads(text), arrays), (Box, Pair))
    # A named tuple equals a plain one, but their texts differ.
    assert again == value and repr(again) == repr(value)


def test_only_named_classes_are_built():
    with pytest.raises(ValueError, match="not plain data"):
        unflatten(flatten(Box(1), (Box,)), ())
    with pytest.raises(TypeError, match="holds a Box"):
        flatten(Box(1), (Pair,))


def test_a_tensor_that_is_shared_is_stored_once_and_shared_again():
    one, other = torch.tensor([1.0, -0.0]), torch.tensor(True)
    tree = {1: Box(one), "1": [one, other, b""], "b": Pair(one, b"\x00\xff")}
    flat = flatten(tree, (Box, Pair))
    assert len(flat.arrays) == 4
    again = unflatten(Flat(json.loads(json.dumps(flat.plain)), flat.arrays), (Box, Pair))
    assert again[1].content is again["1"][0] is again["b"].left
    assert again[1].content.numpy().tobytes() == one.numpy().tobytes()
    assert again["1"][1].dtype is torch.bool and again["1"][2] == b"" and again["b"].right == b"\x00\xff"


@pytest.mark.parametrize(
    "damage",
    [
        lambda flat: flat.arrays.pop("content"),
        lambda flat: flat.arrays.update(more=flat.arrays["content"]),
        lambda flat: flat.plain["fields"].update(content={"tensor": [1]}),
    ],
)
def test_arrays_that_do_not_fit_are_refused(damage):
    flat = flatten(Box(torch.ones(2)), (Box,))
    damage(flat)
    with pytest.raises(ValueError):
        unflatten(flat, (Box,))


def test_classes_of_one_name_are_told_apart():
    other = dataclass(frozen=True)(type("Box", (), {"__annotations__": {"size": int}}))
    tree, classes = [Box(1), other(2)], (Box, other, Box)
    assert unflatten(flatten(tree, classes), classes) == tree
