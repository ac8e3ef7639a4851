"""Experiments that are scripts: discovery, separate processes, one-line errors; and the page on all results."""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser

import pytest

from fl_simu.cli.app import main
from fl_simu.kernel import installation
from fl_simu.studies import catalogue, script

GOOD = '''"""Two numbers & a word.

More of it."""

from fl_simu.results.comparisons import Comparison
from fl_simu.results.figures import png_bytes
from fl_simu.results.files import make_folder, write_atomically

PNG = bytes.fromhex("89504e470d0a1a0a") + b"not looked at"


def reproduce(setup):
    setup.say("said by the script")
    write_atomically(make_folder(setup.out / "figures") / "one-figure.png", PNG)
    return [
        Comparison("loss <b>", "0.0435", 0.04346 if setup.quick else 0.0441, why="a & b | c"),
        Comparison("accuracy", "98.55", 98.71, 0.3, "other draws"),
        Comparison("word", "<script>alert(1)</script>", "other"),
        Comparison("weight", None, 0.125),
    ]
'''

STUDY = """# A study.
title = "Bits <and> pieces"
seeds = [1]
target_accuracy = 0.9

[experiment]
rounds = 1
ues = 2
backend = "torch"
model = "logistic_regression"
data = { name = "digits", train_samples = 100, test_samples = 50 }
channel = { name = "constant", rate_mbps = 1.0 }

[axes.codec.exact]
codec = "float32"

[axes.codec.half]
codec = "float16"

[[notes]]
what = "uploads in full [%]"
notes = "100"
levels = ["half"]
value = "full"
scale = 100

[[notes]]
what = "time to 90 % [s]"
notes = "3"
levels = ["exact"]
value = "target_time_s"

[[quick.notes]]
what = "bits"
levels = ["half"]
value = "bits"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the experiments, with one script `good`."""
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path / "experiments")
    put(tmp_path / "experiments", "good", GOOD)
    return tmp_path / "experiments"


def put(folder, name, text, file=catalogue.SCRIPT):
    (folder / name).mkdir(parents=True)
    (folder / name / file).write_text(text)


class Page(HTMLParser):
    """The texts of a page, and the references of its tags; every tag is closed."""

    VOID = ("meta", "img")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.texts, self.references = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [value for key, value in attributes if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def test_a_script_is_listed_with_its_first_line(folder, capsys):
    assert main(["list", "experiments"]) == 0
    assert "good  Two numbers & a word." in capsys.readouterr().out


def test_a_script_leaves_its_comparisons_and_a_page(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["reproduce", "good", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "said by the script" in said
    assert "| loss <b> | 0.0435 | 0.0441 | differs by +0.0006 | a & b \\| c |" in said
    assert "1 agree with the notes, 2 differ, 1 not given in the notes" in said

    rows = json.loads((out / "good" / "comparisons.json").read_text())
    assert [row["verdict"] for row in rows] == [
        "differs by +0.0006", "agrees within 0.3", "differs", "not given in the notes",
    ]  # fmt: skip
    assert "| good | weight |  | 0.125 | not given in the notes |  |" in (out / "reproduced.md").read_text()
    page = Page((out / "reproduced.html").read_text())
    for text in ("Two numbers & a word.", "loss <b>", "<script>alert(1)</script>", "a & b | c"):
        assert text in page.texts
    assert not {"script", "link", "b", "iframe"} & set(page.tags)
    (reference,) = page.references
    head, _, data = reference.partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(data) == (out / "good" / "figures" / "one-figure.png").read_bytes()


def test_quick_goes_beside(folder, tmp_path):
    assert main(["reproduce", "good", "--quick", "--out", str(tmp_path / "out")]) == 0
    rows = json.loads((tmp_path / "out" / "good-quick" / "comparisons.json").read_text())
    assert rows[0]["verdict"] == "agrees"


def test_all_is_scripts_and_studies_on_one_page(folder, tmp_path, capsys):
    put(folder, "tiny", STUDY, catalogue.STUDY)
    out = tmp_path / "out"
    assert main(["reproduce", "all", "--jobs", "1", "--out", str(out)]) == 0
    assert "2 agree with the notes, 3 differ, 1 not given in the notes" in capsys.readouterr().out
    one, two = json.loads((out / "tiny" / "comparisons.json").read_text())
    assert (one["ours"], one["verdict"]) == (100.0, "agrees")
    assert (two["ours"], two["verdict"]) == ("never", "differs")
    page = Page((out / "reproduced.html").read_text())
    assert [page.tags.count(tag) for tag in ("section", "table", "img")] == [2, 3, 5]
    assert "Bits <and> pieces" in page.texts and "test accuracy [%]" in page.texts

    assert main(["reproduce", "tiny", "--quick", "--jobs", "1", "--out", str(out)]) == 0
    (row,) = json.loads((out / "tiny-quick" / "comparisons.json").read_text())
    # Two UEs, 64 x 10 + 10 parameters, two bytes each, without the headers of the codec.
    assert (row["what"], row["notes"]) == ("bits", None) and row["ours"] >= 2 * 650 * 16


@pytest.mark.parametrize(
    "old, new, words",
    [
        (
            'levels = ["exact"]',
            'levels = ["exakt"]',
            "notes.levels = ['exakt'] is not allowed: a level of each axis",
        ),
        ('levels = ["exact"]', 'levels = ["exact", "half"]', "notes.levels"),
        ('"target_time_s"', '"target_times"', "did you mean 'target_time_s'?"),
        ('notes = "3"', 'notes = "three"', "notes = 'three' is not allowed: a plain number"),
        ('notes = "3"', 'notes = "3"\ntolerance = 1', "why = '' is not allowed: a reason"),
        ('notes = "3"', 'notes = "3"\ntolerance = -1', "tolerance = -1"),
        ('notes = "3"', "notes = 3", "notes.1.notes = 3"),
        ("scale = 100", "skale = 100", "skale is no known key"),
    ],
)
def test_a_mistake_in_the_notes_of_a_study_is_one_line(folder, tmp_path, capsys, old, new, words):
    assert STUDY.count(old) == 1
    put(folder, "tiny", STUDY.replace(old, new), catalogue.STUDY)
    assert main(["reproduce", "tiny", "--out", str(tmp_path / "out")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "body, words",
    [
        ("from fl_simu.kernel.errors import require; require(False, 'x', 1, 'two')", "x = 1 is not allowed: two"),
        ("1 / 0", "ZeroDivisionError"),
        ("raise ValueError('several\\nlines')", "ValueError('several\\nlines')"),
        ("import os; os.kill(os.getpid(), 9)", "bad was killed (out of memory?)"),
        ("import os; os._exit(7)", "bad ended with status 7"),
        ("return [Comparison('a', 'b', 1.0)]", "notes = 'b' is not allowed: a plain number, as a is one here"),
        ("return [Comparison('a', None, None)]", "ours = None is not allowed: a number or a word for a"),
        ("return 3", "TypeError"),
        ("raise SystemExit(3)", "SystemExit"),
    ],
)
def test_a_script_that_fails_is_one_line(folder, tmp_path, capfd, body, words):
    text = f"from fl_simu.results.comparisons import Comparison\n\n\ndef reproduce(setup):\n    {body}\n"
    put(folder, "bad", text)
    assert main(["reproduce", "bad", "good", "--out", str(tmp_path / "out")]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert words in line
    kept = tmp_path / "out" / "bad" / "traceback.txt"
    assert kept.exists() == (str(kept) in line) == ("Error" in words or "Exit" in words)
    assert not (tmp_path / "out" / "reproduced.html").exists()


def test_a_later_success_takes_the_traceback_away(folder, tmp_path):
    put(folder, "bad", "def reproduce(setup):\n    1 / 0\n")
    assert main(["reproduce", "bad", "--out", str(tmp_path / "out")]) == 2
    (folder / "bad" / catalogue.SCRIPT).write_text("def reproduce(setup):\n    return []\n")
    assert main(["reproduce", "bad", "--out", str(tmp_path / "out")]) == 0
    assert not (tmp_path / "out" / "bad" / "traceback.txt").exists()


def test_ctrl_c_ends_the_script_without_a_traceback(folder, environment, tmp_path):
    put(
        folder,
        "slow",
        "import os, pathlib, time\n\n\ndef reproduce(setup):\n"
        "    (setup.out / 'pid').write_text(str(os.getpid()))\n    time.sleep(60)\n",
    )
    main_file, out = tmp_path / "main.py", tmp_path / "out"
    main_file.write_text(
        "import sys\nfrom pathlib import Path\nfrom fl_simu.cli.app import main\n"
        "from fl_simu.studies import catalogue\n"
        "if __name__ == '__main__':\n    catalogue.FOLDER = Path(sys.argv[1])\n    sys.exit(main(sys.argv[2:]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, str(main_file), str(folder), "reproduce", "slow", "--out", str(out)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=lambda: (os.setpgrp(), signal.signal(signal.SIGINT, signal.default_int_handler)),
    )
    pid = out / "slow" / "pid"
    while not (pid.exists() and pid.read_text()):
        assert process.poll() is None
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[0].decode()
    assert process.returncode == 130 and "Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_what_is_no_python_is_one_line(folder, capsys):
    put(folder, "bad", "def reproduce(")
    assert main(["list", "experiments"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "experiment.py is no valid Python" in line


def test_what_needs_syft_is_skipped_or_refused_without_it(folder, tmp_path, capsys, monkeypatch):
    put(folder, "pointers", '"""Needs syft."""\n\nNEEDS_SYFT = True\n\nimport nothing_that_is_here')
    monkeypatch.setattr(installation, "whose_syft", lambda: "")
    assert main(["reproduce", "good", "pointers", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert "pointers needs syft 0.2.4, or torch 2" in line and not said.out
    assert main(["reproduce", "all", "--out", str(tmp_path / "out")]) == 0
    assert "pointers is skipped: it needs syft 0.2.4" in capsys.readouterr().out
    assert (tmp_path / "out" / "good" / "table.md").exists()


def test_each_experiment_is_a_study_or_a_script_with_a_readme():
    assert not set(catalogue.studies()) & set(catalogue.scripts())
    for name in catalogue.scripts():
        assert script.title(name).endswith((".", "?")), "the list shows the first line"
        assert (catalogue.folders()[name] / "README.md").exists()
