"""Values that a claim compares: values of rows, differences of values of one row, rounds to a target."""

import pytest

from fl_simu.kernel.columns import Column
from fl_simu.kernel.errors import UserError
from fl_simu.results.records import RoundRecord, UeOutcome
from fl_simu.results.study_plots import Line
from fl_simu.studies.claims import Claim

COLUMNS = {"energy_j": Column("J", "energy", axis=True), "wasted_energy_j": Column("J", "wasted")}
AXES = {"upload": ("graded", "whole")}


def line(level, *runs):
    """A line of runs, each a list of (accuracy, energy, wasted energy) by round."""
    return Line((level,), tuple(tuple(records(run)) for run in runs))


def records(run):
    for number, (accuracy, energy_j, wasted_energy_j) in enumerate(run, start=1):
        meters = {"energy_j": energy_j, "wasted_energy_j": wasted_energy_j}
        yield RoundRecord(
            round=number,
            time_s=float(number),
            accuracy=accuracy,
            loss=1.0,
            uplink_bits=8,
            ues=[UeOutcome(0, 1.0, (1.0,), 8, "full")],
            wall_time_s=0.0,
            meters=meters,
        )


def claim(**changes):
    made = {"says": "", "source": "", "less": {"upload": "graded"}, "than": {"upload": "whole"}, "unit": "J"}
    return Claim(**{**made, "value": "target_energy_j", "minus": {"wasted_energy_j": 0.5}, **changes})


def finding(one, graded, whole):
    lines = {("graded",): line("graded", *graded), ("whole",): line("whole", *whole)}
    return one.tested(AXES, lines, 0.8, COLUMNS, quick=False)


def test_other_values_of_a_row_are_taken_away():
    """By hand: 3 - 0.5 and 4 - 0.5 against 7 - 2 and 9 - 2 J, so differences of 2.5 and 3.5 J."""
    graded = [[(0.5, 1.0, 1.0), (0.8, 2.0, 0.0)], [(0.9, 4.0, 1.0)]]
    whole = [[(0.9, 7.0, 4.0)], [(0.8, 9.0, 4.0)]]
    found = finding(claim(), graded, whole)
    assert found.here.startswith("3 J against 6 J; difference 3 [")


def test_a_difference_without_its_target_tells_nothing():
    """Without `minus` the complete run counts, since its energy could only have grown; a difference may shrink."""
    never, soon = [(0.5, 9.0, 1.0)], [(0.9, 2.0, 1.0)]
    assert finding(claim(minus={}), [soon, soon], [never, never]).verdict == "agrees"
    found = finding(claim(), [soon, soon], [never, never])
    assert found.verdict == "cannot be told, because the target was not reached there"


def test_what_is_taken_away_must_be_known():
    with pytest.raises(UserError, match=r"claims\.minus = 'wasted' is not allowed: known of these rows"):
        claim(minus={"wasted": 1.0}).check_value(COLUMNS)
    with pytest.raises(UserError, match=r"claims\.minus\.bits = inf is not allowed: a number"):
        claim(minus={"bits": float("inf")}).check(AXES)


ALGORITHMS = {"algorithm": ("a", "b")}


def reaching(*accuracies):
    ues = (UeOutcome(0, 1.0, (1.0,), 8, "full"),)
    return tuple(RoundRecord(at, 10.0 * at, one, 0.5, 8, ues, 0.0) for at, one in enumerate(accuracies, start=1))


def sooner(first, second):
    lines = {(name,): Line((name,), runs) for name, runs in (("a", first), ("b", second))}
    claim = Claim(
        says="a needs fewer rounds",
        source="we",
        value="target_rounds",
        less={"algorithm": "a"},
        than={"algorithm": "b"},
        unit="rounds",
    )
    return claim.tested(ALGORITHMS, lines, 0.5, {}, False)


def test_rounds_to_a_target_are_compared_seed_by_seed_and_a_run_that_never_got_there_counts_whole():
    soon = (reaching(0.1, 0.6), reaching(0.2, 0.3, 0.5), reaching(0.7, 0.1))
    # Four rounds more each; the last run never reaches it.
    late = (reaching(*[0.1] * 5, 0.6), reaching(*[0.1] * 6, 0.6), reaching(*[0.1] * 5))
    found = sooner(soon, late)
    assert (found.verdict, found.here.partition(";")[0]) == ("agrees", "2 rounds against 6 rounds")
    assert sooner(late, soon).kind == "differs"
    # If the supposedly smaller one never reached it, and the other needed more, there is no verdict.
    assert sooner((reaching(0.1),), (reaching(0.1, 0.6),)).kind == "cannot be told"
