"""The cost of reaching an accuracy: from hand-made records, and in every report of it."""

import json
import math
import re

import pytest

import fl_simu as fl
from fl_simu.cli.app import main
from fl_simu.cli.compare import _targets_table
from fl_simu.results.closing_table import closing_table
from fl_simu.results.columns import Column, totals
from fl_simu.results.records import RoundRecord, UeOutcome, summarise
from fl_simu.results.study_plots import Line
from fl_simu.results.study_table import rows
from fl_simu.results.targets import NOT_REACHED, Reached, cells, headings, reached, told

ENERGY = {"energy_j": Column("J", "energy of the UEs", axis=True), "spent_j": Column("J", "energy of training")}


def record(number, accuracy, bits, joules):
    ues = (UeOutcome(0, 1.0, (1.0,), bits, "full"),)
    meters = {"energy_j": joules, "spent_j": joules}
    return RoundRecord(number, 2.5 * number, accuracy, 1.0, bits, ues, 0.1, 7, None, meters)


# Round 2 was not evaluated, and round 4 is worse than round 3.
RUN = [
    record(1, 0.3, 100, 1.0),
    record(2, math.nan, 200, 2.0),
    record(3, 0.8, 400, 4.0),
    record(4, 0.7, 800, 8.0),
    record(5, 0.9, 1600, 16.0),
]


@pytest.mark.parametrize(
    "target, round, bits, joules",
    [(0.2, 1, 100, 1.0), (0.3, 1, 100, 1.0), (0.7, 3, 700, 7.0), (0.9, 5, 3100, 31.0)],
)
def test_the_first_round_that_is_as_good_counts_and_all_before_it(target, round, bits, joules):
    assert reached(RUN, target, ENERGY) == Reached(round, 2.5 * round, bits, 7 * round, {"energy_j": joules})


def test_what_is_never_reached_is_told_as_such_everywhere():
    assert reached(RUN, 0.91) is None and reached([], 0.1) is None
    assert cells(None, ENERGY) == [NOT_REACHED] * len(headings(0.91, ENERGY))
    assert told(RUN, [0.91], ENERGY) == [{"accuracy": 0.91, "reached": None}]


def test_the_table_that_ends_a_run_and_its_summary(tmp_path):
    facts = {"meters": totals(RUN, ENERGY), "targets": told(RUN, [0.7, 0.95], ENERGY)}
    summary = summarise(RUN, "hand", "torch", "modern", 1, 1, "abc", **facts)
    assert closing_table(summary).splitlines()[-2:] == [
        "to 70 %        7.50 s, 700 bit, 7 J, round 3",
        "to 95 %        not reached",
    ]
    summary.write(tmp_path / "summary.json")
    took = {"round": 3, "time_s": 7.5, "uplink_bits": 700, "downlink_bits": 21, "meters": {"energy_j": 7.0}}
    assert json.loads((tmp_path / "summary.json").read_text())["targets"] == [
        {"accuracy": 0.7, "reached": took},
        {"accuracy": 0.95, "reached": None},
    ]


def test_backends_side_by_side():
    table = [
        {"label": "torch", "targets": told(RUN, [0.7], ENERGY)},
        {"label": "ray", "targets": told(RUN[:2], [0.7], ENERGY)},
    ]
    head, *lines = _targets_table(table, ENERGY).strip().splitlines()
    assert head.split("  ") == ["backend", "time to 70 %", "sent to 70 %", "energy of the UEs to 70 % [J]"]
    assert [line.split(maxsplit=1)[1] for line in lines] == [
        "7.50 s        700 bit       7",
        "not reached   not reached   not reached",
    ]


def test_a_study_tells_the_mean_over_the_runs_that_reached_it():
    other = [record(1, 0.75, 50, 3.0)]
    (row,) = rows({"axis": ("level",)}, [Line(("level",), (RUN, other, RUN[:1]))], 0.7, ENERGY)
    wanted = {"reached": 2, "target_rounds": 2, "target_time_s": 5.0, "target_bits": 375, "target_energy_j": 5.0}
    assert {key: row[key] for key in wanted} == wanted


def test_a_sweep_has_columns_of_what_a_target_took():
    pytest.importorskip("pandas")
    base = fl.Experiment(
        rounds=2,
        ues=2,
        backend="torch",
        model="logistic_regression",
        data={"name": "digits", "train_samples": 100, "test_samples": 50},
        meters=["energy"],
    )
    found = fl.sweep(base, {"optimizer.lr": [0.0001, 0.1]})
    (run, *_), frame = found.runs.values(), found.frame(target=0.3)
    took = frame.set_index("optimizer.lr").filter(like="target_")
    assert list(took.columns) == [
        "target_round",
        "target_time_s",
        "target_uplink_bits",
        "target_downlink_bits",
        "target_energy_j",
    ]
    assert took.loc[0.0001].isna().all() and run.reached(0.3) is None
    good = found.runs[0.1, base.seed]
    at = next(one for one in good.records if one.accuracy >= 0.3)
    assert took.loc[0.1, "target_time_s"] == at.time_s
    with pytest.raises(fl.UserError, match="accuracy = 70 is not allowed"):
        good.reached(70)


def test_run_and_report_tell_of_the_targets_that_are_asked_for(small, tmp_path, capsys):
    out = tmp_path / "out"
    energy = ["--set", 'meters=["energy"]']
    assert main(["run", str(small), "--out", str(out), *energy, "--target", "0.01", "--target", "1"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"\nto 1 % .*, round 1\nto 100 % +not reached\n", said)
    summary = json.loads((out / "summary.json").read_text())
    first = json.loads((out / "rounds.jsonl").read_text().splitlines()[0])
    (easy, hard) = summary["targets"]
    assert hard["reached"] is None
    assert easy["reached"]["time_s"] == first["time_s"]
    assert easy["reached"]["meters"]["energy_j"] == first["meters"]["energy_j"]

    assert main(["report", str(out), "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert all(
        words in page for words in ("time to 1 %", "energy of the UEs to 1 % [J]", "time to 100 %", NOT_REACHED)
    )
    assert main(["report", str(out), "--target", "0.02", "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "sent to 2 %" in page and "to 100 %" not in page
    capsys.readouterr()

    # A different target on resume changes nothing else, and the folder records it.
    assert main(["run", "--resume", str(out), "--target", "0.02"]) == 0
    assert [one["accuracy"] for one in json.loads((out / "summary.json").read_text())["targets"]] == [0.02]
    assert json.loads((out / "summary.json").read_text())["model_sha256"] == summary["model_sha256"]
    capsys.readouterr()
    for command in (["run", str(small)], ["report", str(out)]):
        assert main([*command, "--target", "90"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "90" in line and "is not allowed" in line
