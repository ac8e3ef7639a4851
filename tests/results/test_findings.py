"""Verdicts on claims: from an interval, and for a target that was never reached."""

import itertools

import numpy as np
import pytest
from scipy import stats

from fl_simu.kernel.errors import BadField
from fl_simu.results.findings import (
    AGREES,
    DIFFERS,
    UNTOLD,
    Finding,
    Reading,
    changes,
    finding_table,
    inequality,
    printed,
)
from fl_simu.results.intervals import student


def readings(*values):
    return [Reading(float(value)) for value in values]


def kind(less, than, **options):
    return inequality("it", "here", less, than, **options).kind


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_an_interval_is_where_a_t_test_turns(seeds):
    values = np.random.RandomState(seeds).normal(1.0, 2.0, seeds)
    _, low, high = student(list(values))
    assert stats.ttest_1samp(values, low).pvalue == pytest.approx(0.05)
    assert stats.ttest_1samp(values, high).pvalue == pytest.approx(0.05)


def test_verdicts_of_a_pair():
    one = readings(1, 2, 3)
    assert kind(one, readings(2, 3.1, 3.9)) == AGREES
    assert kind(readings(2, 3.1, 3.9), one) == DIFFERS
    assert kind(one, readings(2, 1, 4)) == UNTOLD
    assert kind(readings(1), readings(2)) == UNTOLD, "one seed has no spread"
    assert kind(one, one) == DIFFERS, "what is equal is not less"
    assert kind(one, readings(2, 4, 6.1), times=2) == UNTOLD, "0, 0, 0.1"
    assert kind(one, readings(2.1, 4.1, 6.1), times=2) == AGREES
    # The pairs of a seed count, not the spread over the seeds.
    assert kind(readings(1, 100, 1000), readings(2, 101.1, 1000.9)) == AGREES


def test_verdicts_of_what_is_said_to_be_the_same():
    one = readings(1, 2, 3)
    assert kind(one, readings(1.1, 2.0, 2.9), within=0.5) == AGREES
    assert kind(one, readings(2.1, 3.0, 3.9), within=0.5) == DIFFERS
    assert kind(one, readings(1.5, 2.5, 3.6), within=0.5) == UNTOLD
    assert kind(one, one, within=0.0) == AGREES


def test_the_end_of_a_run_counts_only_where_it_weakens_the_evidence():
    """Compared with every later time at which the target could have been reached."""
    for less, than in itertools.product([Reading(5.0, False), Reading(6.0), Reading(3.0)], repeat=2):
        later = [0.0] if less.reached else [0.0, 1.0, 10.0, 1e6]
        later_than = [0.0] if than.reached else [0.0, 1.0, 10.0, 1e6]
        signs = {np.sign(than.value + more_than - less.value - more) for more in later for more_than in later_than}
        verdict = kind([less] * 3, [than] * 3)
        if verdict == AGREES:
            assert signs == {1.0}
        elif verdict == DIFFERS:
            assert 1.0 not in signs
        else:
            assert {-1.0, 1.0} <= signs


def test_a_printed_number_agrees_by_its_digits():
    assert printed("E [J]", "Table 1", "16.507", 16.50691).verdict == AGREES
    assert printed("E [J]", "Table 1", "16.507", 16.5).kind == DIFFERS
    assert printed("E [J]", "Table 1", "16.5", 16.58, 0.1, "draws").kind == AGREES


def test_a_verdict_that_was_otherwise_is_told():
    same, other = (Finding("it", "", "1", AGREES, expected) for expected in (AGREES, UNTOLD))
    assert changes([same, Finding("it", "", "1", DIFFERS)]) == []
    assert changes([other]) == ["it: agrees, where it was cannot be told"]
    assert finding_table([same]).splitlines()[-1] == "| it |  | 1 | agrees |"
    with pytest.raises(BadField, match="expected = 'maybe'"):
        Finding("it", "", "1", AGREES, "maybe")
    with pytest.raises(BadField, match="than = 1"):
        inequality("it", "", readings(1, 2), readings(1))
