"""Tables for other programs, and figures for papers: exact numbers, and text that LaTeX can typeset."""

import csv
import io
import json
import re

import matplotlib
import pytest

import fl_simu as fl
from fl_simu.cli.app import main
from fl_simu.results.tables import latex_table


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A run with a meter; its first round is not evaluated."""
    folder = tmp_path_factory.mktemp("exports") / "run"
    parts = {
        "rounds": 2,
        "ues": 3,
        "backend": "torch",
        "data": {"name": "digits", "train_samples": 90, "test_samples": 30},
        "model": {"name": "mlp", "hidden": [4]},
        "codec": {"name": "affine", "base_bits": 2, "enhancement_bits": [2]},
        "protocol": {"name": "base_then_enhancement", "receive_s": 0.002, "wait_s": 0.001},
        "meters": ["energy"],
        "evaluation": {"every": 2},
        "name": "a_b",
    }
    fl.run(fl.Experiment.parse(parts), folder)
    return folder


def read(path):
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))


def told(cell):
    return None if cell == "" else float(cell)


def test_csv_has_every_number_of_the_records(written, tmp_path, capsys):
    assert main(["export", str(written), "--csv", "--out", str(tmp_path / "tables")]) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "tables" / f"{name}.csv") for name in ("rounds", "uploads")
    ]
    records = [json.loads(line) for line in (written / "rounds.jsonl").read_text().splitlines()]
    rounds, uploads = (read(tmp_path / "tables" / f"{name}.csv") for name in ("rounds", "uploads"))
    assert records[0]["accuracy"] is None and rounds[0]["accuracy"] == ""
    for record, row in zip(records, rounds):
        numbers = ("round", "time_s", "accuracy", "loss", "uplink_bits", "downlink_bits", "wall_time_s")
        assert [told(row[name]) for name in numbers] == [record[name] for name in numbers]
        assert {name: told(row[name]) for name in record["meters"]} == record["meters"]
        kinds = [one["accepted"] for one in record["ues"]]
        assert [int(row[name]) for name in ("full", "base", "rejected")] == list(
            map(kinds.count, ("full", "base", "none"))
        )
    sent = [(record["round"], one) for record in records for one in record["ues"]]
    assert len(sent) == len(uploads) == 6
    for (number, one), row in zip(sent, uploads):
        assert (int(row["round"]), int(row["ue"]), int(row["bits"])) == (number, one["ue"], one["bits"])
        assert (row["accepted"], row["reason"]) == (one["accepted"], one["reason"])
        assert [told(row[f"delay_{layer}_s"]) for layer in (1, 2)] == one["delays_s"]
        assert [told(row[name]) for name in ("compute_s", "download_s")] == [one["compute_s"], one["download_s"]]
        assert {name: told(row[name]) for name in one["meters"]} == one["meters"]


def test_rows_of_unequal_columns_share_one_head():
    from fl_simu.results.exports import csv_text

    rows = [
        {"round": 1, "delay_1_s": 0.5, "bits": 3},
        {"round": 2, "delay_1_s": 0.25, "delay_2_s": 1.0, "bits": 4},
    ]
    assert csv_text(rows) == "round,delay_1_s,delay_2_s,bits\n1,0.5,,3\n2,0.25,1.0,4\n"


def test_latex_of_a_run(written, tmp_path):
    assert main(["export", str(written), "--latex", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "run.tex").read_text()
    assert r" & a\_b \\" in text and r"\toprule" in text and "energy\\_j & " in text
    summary = json.loads((written / "summary.json").read_text())
    assert f"{100 * summary['final_accuracy']:.2f} \\%" in text


def test_latex_sets_every_sign():
    """By hand, from the table of special characters in The LaTeX Companion."""
    table = latex_table([["[bit]", "a|b~c^d"], ["*", r"\alpha {x} <1> #2 $3"], ["", "long " * 12]])
    assert table.splitlines()[1:] == [
        r"\begin{tabularx}{\linewidth}{l>{\raggedright\arraybackslash}X}",
        r"\toprule",
        r"{}[bit] & a\textbar{}b\textasciitilde{}c\textasciicircum{}d \\",
        r"\midrule",
        r"{}* & \textbackslash{}alpha \{x\} \textless{}1\textgreater{} \#2 \$3 \\",
        r" & " + ("long " * 12).strip() + r" \\",
        r"\bottomrule",
        r"\end{tabularx}",
    ]


def test_tables_of_a_study(tmp_path, capsys):
    row = {
        "levels": {"scene": "good & near"}, "runs": 2, "accuracy_mean": 0.875, "accuracy_deviation": 0.01,
        "time_s": 12.25, "bits": 2_000_000, "target_accuracy": 0.8, "reached": 1, "target_time_s": 3.0,
        "target_bits": 500.0, "full": 0.5, "base": 0.25, "none": 0.25,
    }  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps([row]))
    (tmp_path / "findings.json").write_text(
        json.dumps([{"says": "a < b", "source": "[1]", "here": "1 s", "verdict": "agrees"}])
    )
    assert main(["export", str(tmp_path), "--csv", "--latex"]) == 0
    (exact,) = read(tmp_path / "results.csv")
    assert exact["scene"] == "good & near" and {name: told(exact[name]) for name in row if name != "levels"} == {
        name: value for name, value in row.items() if name != "levels"
    }
    lines = (tmp_path / "results.tex").read_text().splitlines()
    cells = [cell.strip(" \\") for cell in re.split(r"(?<!\\)&", lines[5])]
    assert cells == [
        "good \\& near",
        r"87.50 $\pm$ 1.00",
        "12.2",
        "2.00 Mbit",
        "3.0 (1 of 2)",
        "500 bit",
        "50",
        "25",
        "25",
    ]
    assert r"a \textless{} b & [1] & 1 s & agrees" in (tmp_path / "findings.tex").read_text()
    (tmp_path / "results.json").write_text('[{"levels": 3}]')
    capsys.readouterr()
    for kind in ("--csv", "--latex"):
        assert main(["export", str(tmp_path), kind]) == 2
        assert "results.json is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["."], "--csv or --latex is missing"),
        ([".", "--csv"], "holds neither a run nor what `reproduce` makes"),
        (["nowhere", "--latex"], "holds neither a run nor what `reproduce` makes"),
    ],
)
def test_mistakes_are_one_line(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_figure_for_a_paper(written, tmp_path):
    before = dict(matplotlib.rcParams)
    run = fl.load(written)
    figure = run.plot("time_s", over="uplink_bits", style="paper")
    figure.savefig(str(tmp_path / "paper.pdf"))
    pdf = (tmp_path / "paper.pdf").read_bytes()
    assert b"/FontFile2" in pdf and b"/Type3" not in pdf
    (box,) = re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", pdf)
    assert [float(side) / 72 for side in box] == pytest.approx([3.5, 2.4])
    (axes,) = figure.axes
    letters = [axes.xaxis.label, axes.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()]
    assert {text.get_size() for text in letters} == {8.0}
    assert dict(matplotlib.rcParams) == before
    with fl.paper_style():
        assert matplotlib.rcParams["savefig.dpi"] == 600
    assert dict(matplotlib.rcParams) == before
    plain = run.plot("time_s")
    assert list(plain.get_size_inches()) == [8.0, 4.5]
    with pytest.raises(fl.UserError, match="style = 'poster' is not allowed: one of screen, paper"):
        run.plot(style="poster")
