"""The commands of README and quickstart work in a fresh shell; the pages on files name every field."""

import dataclasses
import gzip
import json
import os
import re
import struct

import psutil
import pytest
from checkouts import ENTER, Checkout
from pages import ROOT, blocks

from fl_simu import __version__
from fl_simu.kernel.installation import syft_installed
from fl_simu.results.records import RoundRecord, UeOutcome

README = ROOT / "README.md"
QUICKSTART = ROOT / "docs" / "quickstart.md"
RUN_FOLDER = (ROOT / "docs" / "run-folder.md").read_text(encoding="utf-8")

# Set-up commands: they take minutes and need a network; these tests already run in the result.
NOT_RUN = ("make test", "conda ", "python3 -m venv ", ". .venv/own/", "python -m pip install ")

# Replaces the default experiment, whose rounds take 15 s each.
DEFAULT = """
name = "default"
rounds = 2
ues = 3
backend = "torch"
data = { name = "mnist", train_samples = 300, test_samples = 100 }
model = { name = "mlp", hidden = [8] }
channel = { name = "normal", mean_mbps = 4.0, std_mbps = 1.0 }
"""


def commands(page=QUICKSTART):
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


def test_two_commands_do_everything():
    assert blocks(README, "sh")[0].splitlines() == ["make run", "make test"]


def write_mnist(folder):
    """Files in the format of MNIST, all pixels 0, class i mod 10."""
    folder.mkdir(parents=True)
    for part, size in (("train", 60000), ("t10k", 10000)):
        images = struct.pack(">4I", 0x803, size, 28, 28) + bytes(size * 28 * 28)
        labels = struct.pack(">2I", 0x801, size) + bytes(i % 10 for i in range(size))
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, 1))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels, 1))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A checkout with a small default experiment and black MNIST images."""
    parts = ("fl_simu", "scripts", "requirements", "experiments/pointer_basics", "Makefile", "setup.py")
    found = Checkout(tmp_path_factory.mktemp("check out"), parts)
    (found.root / "fl_simu" / "cli" / "defaults" / "mnist.toml").write_text(DEFAULT)
    (found.root / "mine.toml").write_text(blocks(QUICKSTART, "toml")[0], encoding="utf-8")
    found.data = found.root / "data"
    write_mnist(found.data / "mnist")
    # A home folder with MNIST in its cache, and one without.
    write_mnist(found.root / "home" / ".cache" / "fl_simu" / "mnist")
    (found.root / "bare").mkdir()
    return found


def test_every_command_is_run_or_known_not_to_be():
    every = commands(README) + commands()
    others = [line for line in every if not line.startswith("python -m fl_simu")]
    assert [line for line in others if not line.startswith(NOT_RUN)] == ["make run", ENTER, ENTER]
    files = re.findall(r"-r (\S+)|-f (\S+)", "\n".join(every))
    assert files and all((ROOT / (one or other)).exists() for one, other in files)


def test_the_front_page_is_short_and_its_commands_run(checkout):
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    paragraphs = [line for line in text.splitlines() if re.match(r"[A-Za-z`*\[]", line)]
    shown = [re.sub(r"\]\([^)]*\)", "]", one) for one in paragraphs]
    assert [one for one in shown if len(one) > 4 * 115] == []
    folder = checkout.root / "front"
    folder.mkdir()
    (folder / "mine.toml").write_text(blocks(README, "toml")[0], encoding="utf-8")
    mine = [line for line in commands(README) if "mine" in line]
    checkout.shell("\n".join([ENTER, "cd front", *mine]))
    assert (folder / "runs" / "mine" / "report.html").exists()
    (example,) = blocks(README, "python")
    small = example.replace("rounds=5", "rounds=1")
    checkout.shell(f"{ENTER}\ncd front\npython - <<'END'\n{small}END")
    assert (folder / "accuracy.png").exists()


def test_make_run_and_what_it_prints(checkout):
    """Typed in a fresh shell, where `python` is a different one and no variable names the data folder."""
    said = checkout.shell("make run", home="bare", FL_SIMU_DATA=str(checkout.data))
    tried = said.split("try next\n")[1].splitlines()
    assert len(tried) == 3
    for line in tried:
        assert line.startswith("  .venv/legacy/bin/python -m fl_simu ")
        checkout.shell(line, home="bare")
    assert len(list(checkout.root.glob("runs/default-*/report.html"))) == 1
    assert len(list(checkout.root.glob("runs/default-*/summary.json"))) == 2, "the first run and the changed one"


MINE = [line for line in commands() if "mine" in line and "attack" not in line]


def test_the_commands_of_an_experiment_leave_what_is_described(checkout):
    printed = {line: checkout.shell(f"{ENTER}\n{line}") for line in MINE}
    assert "resuming after round 5" in printed["python -m fl_simu run --resume runs/mine --rounds 7"]
    (comparison,) = checkout.root.glob("runs/compare-*")
    check_comparison(comparison, printed["python -m fl_simu compare mine.toml --backends syft,torch"])

    run = checkout.root / "runs" / "mine"
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["name"], summary["rounds"], summary["ues"]) == ("mine", 7, 8)
    assert summary["final_accuracy"] > 0.85
    assert fields_described("## summary.json") == list(summary)
    left = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    names = {re.sub(r"round-\d+", "round-N", name) for name in left}
    assert {"config.toml", "rounds.jsonl", "summary.json", "model.safetensors", "report.html"} < names
    assert [name for name in sorted(names) if f"`{name}`" not in RUN_FOLDER] == []


def check_comparison(folder, said):
    """Two backends, one model; each run had a new process."""
    rows = json.loads((folder / "compare.json").read_text())
    assert [row["backend"] for row in rows] == ["syft", "torch"]
    assert len({row["model_sha256"] for row in rows}) == 1
    assert [row["largest_difference"] for row in rows] == [0.0, 0.0]
    assert "largest weight difference" in said
    for row in rows:
        assert fields_described("## compare.json") == list(row)
        assert row["model_sha256"][:16] in said
        summary = json.loads((folder / row["backend"] / "summary.json").read_text())
        assert len(row["rounds_wall_s"]) == summary["rounds"]
        assert sum(row["rounds_wall_s"]) == pytest.approx(summary["wall_time_s"], rel=0.5)
        used = {"syft": "syft" if syft_installed() else "fl_simu.pointers", "torch": "torch"}[row["backend"]]
        assert list(summary["versions"])[-1] == used
        # Python with torch takes at least 100 MB; the upper bound is that of this machine.
        assert 100 < row["peak_memory_mb"] < psutil.virtual_memory().total / 1e6
    assert (folder / "compare.png").read_bytes().startswith(b"\x89PNG")


OTHERS = {
    line
    for line in commands() + commands(README)
    if line.startswith("python -m fl_simu") and line not in MINE and line not in commands(README)[-3:-1]
}


@pytest.mark.parametrize("line", sorted(OTHERS))
def test_other_commands_run(checkout, line):
    printed = checkout.shell(f"{ENTER}\n{line}")
    if line.endswith("list codecs"):
        assert "affine" in printed
    if line.endswith("fetch mnist"):
        assert all(os.path.isabs(path) and os.path.exists(path) for path in printed.splitlines())


def test_the_citation_is_of_this_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    told = dict(re.findall(r"^([a-z-]+): (.+)$", citation, re.MULTILINE))
    assert f'license="{told["license"]}"' in (ROOT / "setup.py").read_text()
    assert told["version"] == __version__ and told["cff-version"] == "1.2.0"


def test_every_field_of_a_record_is_described():
    names = [field.name for cls in (RoundRecord, UeOutcome) for field in dataclasses.fields(cls)]
    assert fields_described("## rounds.jsonl") == names


def table_rows(text):
    """Cells of every table row whose first cell is a name in backticks."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def section(text, heading):
    """The text under a heading, up to the next one of the same or a higher level."""
    level = heading.split(" ")[0]
    following = text.split(f"\n{heading}\n", 1)
    assert len(following) == 2, f"no heading '{heading}'"
    return re.split(rf"^#{{1,{len(level)}}} ", following[1], maxsplit=1, flags=re.MULTILINE)[0]


def fields_described(heading):
    return [row[0].strip("`") for row in table_rows(section(RUN_FOLDER, heading))]
