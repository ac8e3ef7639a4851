"""Studies: the meaning of a file, the results of its runs, and that no run is repeated or lost."""

import json
import os
import signal
import subprocess
import sys
import time
from statistics import mean, stdev

import numpy as np
import pytest

from fl_simu.cli.app import main
from fl_simu.cli.reproduce import reproduce, reproduce_study
from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.parameters import params_of, structure_of
from fl_simu.loop.plan import plan
from fl_simu.radio.codecs.affine import Affine
from fl_simu.radio.codecs.float32 import Float32
from fl_simu.station.aggregation.means import PlainMean
from fl_simu.station.protocols import Deadline
from fl_simu.studies import catalogue, grid

TINY = """
title = "Bits against averaging"
seeds = [1, 2]
target_accuracy = 0.5

[experiment]
rounds = 3
ues = 3
backend = "torch"
model = "logistic_regression"
data = { name = "digits", train_samples = 300, test_samples = 100 }
optimizer = { name = "sgd", lr = 0.1 }
training = { batch_size = 16 }
channel = { name = "constant", rate_mbps = 1.0 }
codec = { name = "affine", base_bits = 8 }

[quick]
seeds = [7]
experiment = { rounds = 2 }

[axes.average.weighted]
aggregation = "mean"

[axes.average.plain]
aggregation = "plain_mean"

[axes.bits.eight]
codec = { enhancement_bits = [2] }

[axes.bits.exact]
codec = "float32"
protocol = { name = "deadline", deadline_s = 9.0 }

[axes.bits."8 again"]
codec = { enhancement_bits = [2] }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the only study."""
    (tmp_path / "experiments" / "tiny").mkdir(parents=True)
    (tmp_path / "experiments" / "tiny" / "study.toml").write_text(TINY)
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path / "experiments")
    return tmp_path / "experiments" / "tiny"


def test_levels_are_laid_over_one_another(folder):
    study = grid.read_study(folder)
    assert study.axes == {"average": ("weighted", "plain"), "bits": ("eight", "exact", "8 again")}
    assert len(study.experiments) == 2 * 3 * 2
    one = study.experiments[("plain", "eight"), 2]
    assert one.codec == Affine(8, (2,))
    assert (one.aggregation, one.seed, one.rounds) == (PlainMean(), 2, 3)
    exact = study.experiments[("weighted", "exact"), 1]
    assert exact.codec == Float32()
    assert isinstance(exact.protocol, Deadline)

    quick = grid.read_study(folder, quick=True)
    assert {(seed, one.rounds) for (_, seed), one in quick.experiments.items()} == {(7, 2)}


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("seeds = [1, 2]", "seeds = []", "seeds"),
        ("seeds = [1, 2]", "", "seeds"),
        ("target_accuracy = 0.5", "target_accuracy = 50", "target_accuracy = 50"),
        ("[quick]", "[quik]", "quik is no known key: did you mean 'quick'?"),
        ('codec = "float32"', 'codec = "= codex.name"', "codex.name is not there"),
        ('codec = "float32"', "rounds = 0", "rounds = 0"),
        ('codec = "float32"', 'codec = "flat32"', "codec.name = 'flat32' is not known"),
    ],
)
def test_a_mistake_in_a_study_is_one_line(folder, old, new, words, tmp_path, capsys):
    (folder / "study.toml").write_text(TINY.replace(old, new, 1))
    assert main(["reproduce", "tiny", "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_what_comes_of_a_study_is_what_its_runs_gave(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["reproduce", "all", "--jobs", "2", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "8 runs, 8 of them to run" in said, "of 12, four are the same as four others"
    results = json.loads((out / "tiny" / "results.json").read_text())
    assert [row["levels"]["bits"] for row in results] == ["eight", "exact", "8 again"] * 2

    # The same experiments, one by one.
    study = grid.read_study(folder)
    summaries, reached = [], []
    for seed in study.seeds:
        file, run = tmp_path / f"{seed}.toml", tmp_path / f"run{seed}"
        file.write_text(study.experiments[("plain", "exact"), seed].to_toml())
        assert main(["run", str(file), "--out", str(run)]) == 0
        summaries.append(json.loads((run / "summary.json").read_text()))
        records = [json.loads(line) for line in (run / "rounds.jsonl").read_text().splitlines()]
        reached.append(next((record["time_s"] for record in records if record["accuracy"] >= 0.5), None))
    (row,) = [row for row in results if row["levels"] == {"average": "plain", "bits": "exact"}]
    accuracies = [summary["final_accuracy"] for summary in summaries]
    assert row["accuracy_mean"] == pytest.approx(mean(accuracies), abs=1e-12)
    assert row["accuracy_deviation"] == pytest.approx(stdev(accuracies), abs=1e-12)
    assert row["bits"] == mean(summary["uplink_bits"] for summary in summaries)
    assert row["time_s"] == pytest.approx(mean(summary["virtual_time_s"] for summary in summaries))
    assert None not in reached and row["reached"] == 2
    assert row["target_time_s"] == pytest.approx(mean(reached))
    assert (row["full"], row["base"], row["none"]) == (1.0, 0.0, 0.0)
    table = (out / "tiny" / "table.md").read_text().splitlines()
    assert len(table) == 2 + len(results)
    assert f"| {100 * mean(accuracies):.2f} ± {100 * stdev(accuracies):.2f} |" in table[2 + results.index(row)]
    assert sorted(path.name for path in (out / "tiny" / "figures").iterdir()) == [
        "accuracy-over-bits.png",
        "accuracy-over-rounds.png",
        "accuracy-over-time.png",
        "shares.png",
    ]


def test_what_has_ended_is_kept_and_what_was_broken_off_goes_on(folder, tmp_path):
    study, said = grid.read_study(folder, quick=True), []
    reproduce_study(study, tmp_path / "out", 1, None, said.append)
    before = (tmp_path / "out" / "results.json").read_bytes()
    one, two = sorted(path for path in (tmp_path / "out" / "runs").iterdir() if path.is_dir())[:2]
    (one / "summary.json").unlink()
    (two / "summary.json").unlink()
    for path in (two / "checkpoint").iterdir():
        path.unlink()

    said.clear()
    reproduce_study(study, tmp_path / "out", 2, None, said.append)
    assert "4 runs, 2 of them to run" in said[0]
    assert sum("resuming after round 2" in line for line in said) == 1
    assert sum("starting from the first round" in line for line in said) == 1
    assert (tmp_path / "out" / "results.json").read_bytes() == before


def test_a_run_that_fails_ends_the_command_in_one_line(folder, tmp_path, capsys):
    (folder / "study.toml").write_text(TINY.replace("train_samples = 300", "train_samples = 2"))
    assert main(["reproduce", "tiny", "--quick", "--jobs", "2", "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "seed 7" in line and "ues = 3" in line


PATCHED = """
import sys
from pathlib import Path
from fl_simu.kernel import config
from fl_simu.studies import catalogue, grid
from fl_simu.cli.app import main
if __name__ == "__main__":
    catalogue.FOLDER = Path(sys.argv[1])
    sys.exit(main(sys.argv[2:]))
"""


def group_lives(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_ctrl_c_leaves_no_process_and_nothing_lost(folder, environment, tmp_path, capsys):
    longer = TINY.replace("rounds = 3", "rounds = 40").replace("seeds = [1, 2]", "seeds = [1]")
    (folder / "study.toml").write_text(longer)
    script, out = tmp_path / "main.py", tmp_path / "out"
    script.write_text(PATCHED)
    command = [
        sys.executable,
        str(script),
        str(folder.parent),
        "reproduce",
        "tiny",
        "--jobs",
        "2",
        "--out",
        str(out),
    ]
    process = subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: (os.setpgrp(), signal.signal(signal.SIGINT, signal.default_int_handler)),
    )
    while not list(out.glob("tiny/runs/*/checkpoint/*.json")):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    # multiprocessing's resource tracker ends after its parent has ended.
    until = time.monotonic() + 10
    while group_lives(process.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not group_lives(process.pid)
    capsys.readouterr()
    assert main(command[3:]) == 0
    assert "resuming after round" in capsys.readouterr().out


def test_graded_upload_holds_the_scenes_of_the_notes():
    study = grid.read_study(catalogue.folders()["graded_upload"])
    assert len(study.seeds) >= 3
    # Notes, graded upload: receive and wait thresholds in s.
    notes = {"good": (2.82, 2.611), "mid": (1.8, 1.88), "bad": (1.41, 1.468)}
    for (levels, _), experiment in study.experiments.items():
        if levels[2] == "2 + 2 bits":
            assert (experiment.protocol.receive_s, experiment.protocol.wait_s) == notes[levels[1]]
        if levels[2].startswith("adaptive"):
            assert experiment.bits.deadline_s == notes[levels[1]][0]


def test_the_single_run_of_graded_upload_is_one_of_its_quick_size():
    folder = catalogue.folders()["graded_upload"]
    study = grid.read_study(folder, quick=True)
    single = plan(Experiment.read(folder / "quick.toml")).experiment
    assert single == plan(study.experiments[("iid", "mid", "2 + 2 bits"), 1]).experiment


@pytest.mark.parametrize("quick", [False, True], ids=["full", "quick"])
def test_graded_upload_has_the_delays_of_the_notes(quick):
    """At the mean rate each layer takes as long as the notes' CNN at their 50 Mbit/s."""
    study = grid.read_study(catalogue.folders()["graded_upload"], quick)
    planned = plan(study.experiments[("iid", "good", "2 + 2 bits"), 1])
    structure = structure_of(params_of(planned.training.make_module()))
    loads = [10 * bits / 2**20 for bits in planned.link.size.layer_bits(planned.link.codec, structure)]
    channel = planned.experiment.channel
    # Notes: 1,199,882 parameters, 4 + 2 bits each in the base and 2 more in the enhancement, counted ten times.
    notes_s = [10 * bits * 1_199_882 / 2**20 / 50 for bits in (6, 2)]
    np.testing.assert_allclose(np.divide(loads, channel.mean_mbps), notes_s, rtol=1e-5)
    assert channel.std_mbps / channel.mean_mbps == pytest.approx(16.67 / 50, rel=1e-5)


def test_without_experiments_there_is_nothing_to_reproduce(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    with pytest.raises(UserError, match=r"nothing to reproduce: .* holds no experiment"):
        reproduce(["all"], True, 1, None, None, print)


CLAIMS = """
[quick.levels]
average = ["weighted"]
bits = ["eight", "exact"]

[[claims]]
says = "Ten bits a parameter are less than 32"
source = "arithmetic"
value = "bits"
at = { average = "weighted" }
less = { bits = "eight" }
than = { bits = "exact" }
times = 3.1
verdict = "agrees"

[[claims]]
says = "bits of three rounds, three UEs, 7,850 parameters of 32 bits"
source = "arithmetic"
value = "bits"
at = { average = "plain", bits = "exact" }
printed = "2260800"
verdict = "agrees"

[[claims]]
says = "What takes fewer bits arrives sooner"
source = "we"
value = "time_s"
at = { average = "weighted" }
less = { bits = "exact" }
than = { bits = "eight" }
quick_verdict = "agrees"
"""


def test_claims_are_tested_over_the_seeds(folder, tmp_path, capsys):
    (folder / "study.toml").write_text(TINY + CLAIMS)
    out = tmp_path / "out"
    assert main(["reproduce", "tiny", "--out", str(out)]) == 0
    findings = json.loads((out / "tiny" / "findings.json").read_text())
    assert [one["verdict"] for one in findings] == ["agrees", "agrees", "differs"]
    assert findings[1]["here"] == "2260800"
    assert "of 3 claims 2 agree, 1 differ, 0 cannot be told" in capsys.readouterr().out
    page = (out / "reproduced.html").read_text()
    assert page.index("Ten bits a parameter") < page.index("<h2>tiny</h2>")

    # One seed, two of six levels, and a verdict that differs from the recorded one.
    assert main(["reproduce", "tiny", "--quick", "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert "2 runs, 2 of them to run" in said.out
    (line,) = said.err.splitlines()
    assert "tiny: What takes fewer bits arrives sooner: cannot be told, because one seed has no spread" in line
    assert [one["says"][:5] for one in json.loads((out / "tiny-quick" / "findings.json").read_text())] == [
        "Ten b",
        "What ",
    ]


@pytest.mark.parametrize(
    "old, new, words",
    [
        (
            'less = { bits = "eight" }',
            'less = { bits = "ate" }',
            "claims.bits = 'ate' is not allowed",
        ),
        ('less = { bits = "eight" }', "", "claims.less"),
        ('value = "bits"', 'value = "bitz"', "claims.value = 'bitz'"),
        ('value = "bits"', 'value = "energy_j"', "claims.value = 'energy_j'"),
        ('verdict = "agrees"', 'verdict = "yes"', "claims.verdict = 'yes'"),
        ('bits = ["eight", "exact"]', 'bits = ["nine"]', "quick.levels.bits = ['nine']"),
        ("times = 3.1", "times = 0.0", "times"),
    ],
)
def test_a_mistake_in_a_claim_is_one_line(folder, old, new, words, tmp_path, capsys):
    (folder / "study.toml").write_text(TINY + CLAIMS.replace(old, new, 1))
    assert main(["reproduce", "tiny", "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_a_group_is_a_folder_of_experiments(folder, tmp_path, capsys):
    for name in ("one", "two"):
        (folder.parent / "papers" / name).mkdir(parents=True)
        (folder.parent / "papers" / name / "study.toml").write_text(TINY)
    assert main(["list", "experiments"]) == 0
    assert "all of one, two" in capsys.readouterr().out
    assert main(["reproduce", "papers", "--quick", "--out", str(tmp_path / "out")]) == 0
    made = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert made == ["one-quick", "reproduced.html", "reproduced.md", "two-quick"]
