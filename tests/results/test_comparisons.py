"""When a number agrees with the notes, and the message if it does not."""

import numpy as np
import pytest
import torch

from fl_simu.kernel.errors import BadField
from fl_simu.results.comparisons import Comparison, comparison_table, read_comparisons


@pytest.mark.parametrize(
    "notes, ours, tolerance, verdict",
    [
        ("0.0435", 0.04345001, 0, "agrees"),
        ("0.0435", 0.04344999, 0, "differs by -0.0001"),
        ("0.0435", 0.0435499, 0, "agrees"),
        ("5.9401", 5.94, 0, "differs by -0.0001"),
        ("-0.0380", -0.03804, 0, "agrees"),
        ("0.0000", -0.00001, 0, "agrees"),
        ("99", 98.5001, 0, "agrees"),
        ("99", 98, 0, "differs by -1"),
        ("98.55", 98.85, 0.301, "agrees within 0.301"),
        ("98.55", 98.86, 0.3, "differs by +0.31"),
        ("98.55", float("nan"), 0.3, "differs by +nan"),
        ("{}", "{}", 0, "agrees"),
        ("{}", "{1}", 0, "differs"),
        (None, 3.0, 0, "not given in the notes"),
        (None, "x", 0, "not given in the notes"),
    ],
)
def test_verdicts(notes, ours, tolerance, verdict):
    assert Comparison("it", notes, ours, tolerance, "draws").verdict == verdict


def test_a_number_is_printed_as_torch_prints_it():
    for value in torch.rand(50):
        printed = str(value)[len("tensor(") : -1]
        one = Comparison("it", printed, value.item())
        assert (one.verdict, one.shown()) == ("agrees", printed)


@pytest.mark.parametrize(
    "arguments, field",
    [
        (("a", "b", 1.0), "notes"),
        (("a", "1e3", 1.0), "notes"),
        (("a", "1", None), "ours"),
        (("a", "1", np.float32(1)), "ours"),
        (("a", "1", 1.0, 0.1), "why"),
        (("a", "1", 1.0, -0.1, "so"), "tolerance"),
        (("a", "1", 1.0, float("inf"), "so"), "tolerance"),
    ],
)
def test_what_is_refused(arguments, field):
    with pytest.raises(BadField) as caught:
        Comparison(*arguments)
    assert caught.value.field == field


def test_the_table_keeps_its_columns_and_what_is_stored_comes_back():
    both = [Comparison("a|b", "1.50", 1.504), Comparison("c", None, 0.125, why="two\nlines")]
    assert comparison_table(both).splitlines()[2:] == [
        "| a\\|b | 1.50 | 1.50 | agrees |  |",
        "| c |  | 0.125 | not given in the notes | two lines |",
    ]
    assert read_comparisons([one.as_dict() for one in both]) == both
