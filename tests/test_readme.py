"""The README and the docs keep what they promise: commands, links and examples work, no key is missing."""

import dataclasses
import json
import math
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from fl_simu.assemble import plan
from fl_simu.cli import main
from fl_simu.defaults import DIGITS
from fl_simu.experiment import PARTS, Experiment, Training
from fl_simu.parts import KINDS
from fl_simu.results.records import RoundRecord, UeOutcome

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
CONFIG = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
RUN_FOLDER = (ROOT / "docs" / "run-folder.md").read_text(encoding="utf-8")
DOCS = [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

# What stands in the README, and what runs here instead.
REPLACED = {
    # Minutes on MNIST, or a download.
    "python -m fl_simu": f"python -m fl_simu run {shlex.quote(str(DIGITS))} --rounds 1 --set ues=2 "
    "--set data.train_samples=64 --set data.test_samples=50 --set training.epochs=1",
    # A download where the data are missing.
    "python -m fl_simu data fetch mnist": "python -m fl_simu data fetch digits",
    # Minutes on MNIST; tests/test_studies.py runs a small study.
    "python -m fl_simu reproduce graded_upload --quick": "python -m fl_simu list experiments",
}

# Set-up commands: they take minutes and a network, and are the set-up that these tests run in.
NOT_RUN = ("make ", "conda ", "python3 -m venv ", ". .venv/", "python -m pip install ")


def blocks(path, language):
    """The fenced code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands():
    return [line for block in blocks(README, "sh") for line in block.splitlines()]


def test_two_commands_do_everything():
    assert blocks(README, "sh")[0].splitlines() == ["make run", "make test"]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_targets_exist():
    named = set()
    for path in DOCS:
        quoted = re.findall(r"`make ([a-z-]+)", path.read_text(encoding="utf-8"))
        named.update(quoted)
    named.update(line.split()[1] for line in commands() if line.startswith("make "))
    assert {"run", "test", "help"} <= named
    for target in sorted(named):
        done = subprocess.run(["make", "-n", target], cwd=str(ROOT), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_every_command_is_run_or_known_not_to_be():
    ours = [line for line in commands() if line.startswith("python -m fl_simu")]
    others = [line for line in commands() if line not in ours and not line.startswith(NOT_RUN)]
    assert others == []
    assert set(REPLACED) <= set(ours), "REPLACED names a command that the README does not have"
    files = re.findall(r"-r (\S+)|-f (\S+)", "\n".join(commands()))
    assert files and all((ROOT / (one or other)).exists() for one, other in files)


def test_the_commands_run_and_leave_what_is_described(tmp_path, monkeypatch, capfd):
    """One after the other in a folder, in this process: every start of another would take seconds."""
    monkeypatch.chdir(tmp_path)
    tmp_path.joinpath("mine.toml").write_text(blocks(README, "toml")[0], encoding="utf-8")
    printed = {}
    for line in commands():
        if line.startswith("python -m fl_simu"):
            status = main(shlex.split(REPLACED.get(line, line))[3:])
            printed[line], complained = capfd.readouterr()
            assert status == 0, f"{line}\n{printed[line]}\n{complained}"
    assert "going on after round 5" in printed["python -m fl_simu run --resume runs/mine --rounds 7"]
    assert "affine" in printed["python -m fl_simu list codecs"]
    assert "largest weight difference" in printed["python -m fl_simu compare mine.toml --backends syft,torch"]

    run = tmp_path / "runs" / "mine"
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["name"], summary["rounds"], summary["ues"]) == ("mine", 7, 8)
    assert summary["final_accuracy"] > 0.85
    assert fields_described("## summary.json") == list(summary)
    compared = json.loads(next(tmp_path.glob("runs/compare-*/compare.json")).read_text())
    assert fields_described("## compare.json") == list(compared[0])

    left = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    names = {re.sub(r"round-\d+", "round-N", name) for name in left}
    assert {"config.toml", "rounds.jsonl", "summary.json", "model.safetensors"} < names
    assert [name for name in sorted(names) if f"`{name}`" not in RUN_FOLDER] == []


def test_every_field_of_a_record_is_described():
    names = [field.name for cls in (RoundRecord, UeOutcome) for field in dataclasses.fields(cls)]
    assert fields_described("## rounds.jsonl") == names


def table_rows(text):
    """Cells of every table row whose first cell is a name in backticks."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def section(text, heading):
    """What stands under a heading, up to the next one of its own level or a higher one."""
    level = heading.split(" ")[0]
    following = text.split(f"\n{heading}\n", 1)
    assert len(following) == 2, f"no heading '{heading}'"
    return re.split(rf"^#{{1,{len(level)}}} ", following[1], maxsplit=1, flags=re.MULTILINE)[0]


def fields_described(heading):
    return [row[0].strip("`") for row in table_rows(section(RUN_FOLDER, heading))]


def slug(heading):
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if target.startswith(("https://", "http://")):
            continue
        file, _, anchor = target.partition("#")
        goal = (path.parent / file).resolve() if file else path
        assert goal.exists(), f"{path.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", goal.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), f"{path.name} links to {target}"


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) < 220


EXAMPLES = [(path.name, block) for path in DOCS for block in blocks(path, "toml")]


@pytest.mark.parametrize("block", [block for _, block in EXAMPLES], ids=[name for name, _ in EXAMPLES])
def test_toml_examples_are_experiments(block, tmp_path):
    file = tmp_path / "example.toml"
    file.write_text(block, encoding="utf-8")
    planned = plan(Experiment.read(file))
    planned.backend.close()


def literal(value):
    """A default as docs/config.md writes it: as TOML does."""
    if value is dataclasses.MISSING:
        return "required"
    if value is None:
        return "not given"
    if isinstance(value, float) and math.isinf(value):
        return f"`{value}`"
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def described(text):
    """Key -> default of the rows of a section's first table."""
    return {row[0].strip("`"): row[2] for row in table_rows(text.split("\n### ")[0])}


def test_every_top_level_key_is_described():
    expected = {
        field.name: literal(field.metadata.get("part", field.default))
        for field in dataclasses.fields(Experiment)
        if field.name != "training"
    }
    assert described(section(CONFIG, "## Top level")) == dict(expected, training="")
    expected = {field.name: literal(field.default) for field in dataclasses.fields(Training)}
    assert described(section(CONFIG, "## training")) == expected


@pytest.mark.parametrize("table", PARTS)
def test_every_part_and_argument_is_described(table):
    text = section(CONFIG, "## " + table)
    # A downlink may be any channel, and the channels have their own section.
    elsewhere = KINDS["channel"].rows if table == "downlink" else {}
    parts = {name: part for name, part in KINDS[table].rows.items() if name not in elsewhere}
    assert re.findall(r"^### (\S+)$", text, re.MULTILINE) == list(parts)
    for name, part in parts.items():
        expected = {field.name: literal(field.default) for field in dataclasses.fields(part)}
        assert described(section(text, "### " + name)) == expected, f"{table} {name}"
