"""Claims on rounds to a target, of records made by hand."""

from fl_simu.results.records import RoundRecord, UeOutcome
from fl_simu.results.study_plots import Line
from fl_simu.studies.claims import Claim

AXES = {"algorithm": ("a", "b")}


def run(*accuracies):
    ues = (UeOutcome(0, 1.0, (1.0,), 8, "full"),)
    return tuple(RoundRecord(at, 10.0 * at, one, 0.5, 8, ues, 0.0) for at, one in enumerate(accuracies, start=1))


def finding(first, second):
    lines = {(name,): Line((name,), runs) for name, runs in (("a", first), ("b", second))}
    claim = Claim(
        says="a needs fewer rounds",
        source="we",
        value="target_rounds",
        less={"algorithm": "a"},
        than={"algorithm": "b"},
        unit="rounds",
    )
    return claim.tested(AXES, lines, 0.5, {}, False)


def test_rounds_to_a_target_are_compared_seed_by_seed_and_a_run_that_never_got_there_counts_whole():
    soon = (run(0.1, 0.6), run(0.2, 0.3, 0.5), run(0.7, 0.1))
    # Of four rounds more each; the last run never gets there.
    late = (run(*[0.1] * 5, 0.6), run(*[0.1] * 6, 0.6), run(*[0.1] * 5))
    found = finding(soon, late)
    assert (found.verdict, found.here.partition(";")[0]) == ("agrees", "2 rounds against 6 rounds")
    assert finding(late, soon).kind == "differs"
    # Where the one that is to be less never got there, and the other one needed more, nothing is told.
    assert finding((run(0.1),), (run(0.1, 0.6),)).kind == "cannot be told"
