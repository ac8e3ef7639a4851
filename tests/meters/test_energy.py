"""Meter columns pass unchanged through record, summary, frame, figures, study table and report."""

import json
from dataclasses import replace

import numpy as np
import pytest

import fl_simu as fl
from fl_simu.cli.app import main
from fl_simu.kernel.errors import UserError
from fl_simu.results.closing_table import closing_table
from fl_simu.results.columns import Column, columns_of
from fl_simu.results.records import RoundRecord
from fl_simu.results.study_plots import Line
from fl_simu.results.study_table import cells, rows

EXPERIMENT = {
    "rounds": 3, "ues": 3, "backend": "torch", "model": "logistic_regression",
    "data": {"name": "digits", "train_samples": 90, "test_samples": 30},
    "channel": {"name": "constant", "rate_mbps": 0.1},
    "meters": [{"name": "energy", "kappa": 0.0, "power_w": 2.0}],
}  # fmt: skip
# 7,850 float32 parameters at 0.1 Mbit/s; three UEs send with 2 W each.
JOULE = 3 * 2.0 * 7850 * 32 / 1e5


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return fl.run(fl.Experiment.parse(EXPERIMENT), tmp_path_factory.mktemp("metered") / "run")


def test_energy_is_in_records_summary_frame_and_figures(run):
    assert [record.meters["energy_j"] for record in run.records] == pytest.approx([JOULE] * 3)
    assert [outcome.meters["energy_j"] for outcome in run.records[0].ues] == pytest.approx([JOULE / 3] * 3)
    told = run.summary.facts["meters"]["energy_j"]
    assert (told["value"], told["unit"], told["axis"]) == (pytest.approx(3 * JOULE), "J", True)
    assert f"energy_j           {3 * JOULE:.4g} J" in closing_table(run.summary)
    assert (run.folder / "figures" / "accuracy-over-energy_j.png").exists()
    (line,) = run.plot("accuracy", over="energy_j").axes[0].lines
    assert line.get_xdata() == pytest.approx([JOULE, 2 * JOULE, 3 * JOULE])
    with pytest.raises(UserError, match="column 'energy' is not known"):
        run.plot("accuracy", over="energy")


def test_time_and_energy_are_of_one_processor():
    """kappa w f^2 with t = w / f is kappa w^3 / t^2; w is twice 30 samples at 1e6 cycles."""
    values = {
        **{"rounds": 1, "training": {"epochs": 2}, "protocol": {"name": "deadline", "deadline_s": 1.0}},
        "compute": {"name": "cycles", "cycles_per_sample": 1e6, "low_hz": 1e9, "high_hz": 2e9},
        "meters": [{"name": "energy", "kappa": 1e-27, "frequency_hz": 1.0, "cycles_per_sample": 1.0}],
    }
    (record,) = fl.run(fl.Experiment.parse({**EXPERIMENT, **values})).records
    assert len({outcome.compute_s for outcome in record.ues}) == 3
    for outcome in record.ues:
        told = outcome.meters
        assert told["compute_energy_j"] == pytest.approx(1e-27 * 6e7**3 / outcome.compute_s**2)
        # At 0.1 Mbit/s nothing arrives before the deadline.
        assert told["transmit_energy_j"] == pytest.approx(0.5 * (1 - outcome.compute_s))
        assert told["wasted_energy_j"] == told["energy_j"]


def test_a_record_with_columns_survives_its_line(run):
    line = run.records[0].to_line()
    assert RoundRecord.from_line(line) == run.records[0]
    damaged = json.loads(line)
    damaged["meters"] = {"energy_j": "much"}
    with pytest.raises(ValueError):
        RoundRecord.from_line(json.dumps(damaged))


def test_the_table_of_a_study_has_what_it_took_to_the_target(run):
    columns = {"energy_j": Column("J", "energy", axis=True), "last": Column("", "last", total="last")}
    first, second, third = [
        replace(record, accuracy=accuracy, meters={"energy_j": 2.0, "last": float(record.round)})
        for record, accuracy in zip(run.records, (0.1, 0.6, 0.9))
    ]
    without = replace(first, meters={})
    lines = [
        Line(("a",), ((first, second, third), (first, second))),
        Line(("b",), ((first,),)),
        Line(("c",), ((without, without),)),
    ]
    table = rows({"axis": ()}, lines, 0.5, columns)
    assert [(row["energy_j"], row["target_energy_j"], row["last"]) for row in table] == [
        (5.0, 4.0, 2.5),
        (2.0, None, 1.0),
        (None, None, None),
    ]
    head, one, other, nothing = cells(table, columns)
    assert head[-3:] == ["energy [J]", "energy to 50 % [J]", "last"]
    assert (one[-3:], other[-3:], nothing[-3:]) == (["5", "4", "2.5"], ["2", "never", "1"], ["", "", ""])


def test_a_report_draws_accuracy_over_what_all_runs_have(run, tmp_path):
    other = fl.run(fl.Experiment.parse({**EXPERIMENT, "seed": 2}), tmp_path / "other")
    page = tmp_path / "page.html"
    assert main(["report", str(run.folder), str(other.folder), "--out", str(page)]) == 0
    data = json.loads(page.read_text().partition('id="chart-data">')[2].partition("</script>")[0])
    axes = {one["label"]: one["key"] for one in data["x"]}
    for drawn, one in zip(data["runs"], (run, other)):
        (part,) = (part["values"] for part in drawn["curves"] if "accuracy" in part["measures"])
        spent = np.cumsum([record.meters["energy_j"] for record in one.records])
        assert part[axes["energy of the UEs [J]"]] == pytest.approx(spent, rel=1e-6)
        assert part["accuracy"] == pytest.approx([100 * record.accuracy for record in one.records])


@pytest.mark.parametrize("damage", [{"energy_j": {}}, {"energy_j": 3}, []])
def test_a_damaged_summary_is_told_in_one_line(damage):
    with pytest.raises(UserError, match=r"summary\.json is damaged at meters"):
        columns_of({"meters": damage})
