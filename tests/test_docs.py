"""The documentation keeps what it promises: links, examples and commands work."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from pages import DOCS, PAGES, ROOT, blocks, name_of, write_files

from fl_simu.cli.app import main
from fl_simu.experiment import Experiment
from fl_simu.loop.plan import plan

# Pages whose commands another test types in a fresh shell, or that take long: each with the reason.
ELSEWHERE = {
    "docs/quickstart.md": "tests/test_readme.py types them",
    "docs/pointers.md": "tests/pointers runs programs like them",
}
LONG = re.compile(r"make (benchmark|agreement)|-m fl_simu reproduce |attack leakage (?!--set data=digits)")


def slug(heading):
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("path", PAGES, ids=name_of)
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


@pytest.mark.parametrize("path", [page for page in DOCS if page.parent.name != "zh"], ids=name_of)
def test_a_page_says_whom_it_is_for(path):
    text = re.sub(r"<!--.*?-->\n*", "", path.read_text(encoding="utf-8"))
    title, first = [line for line in text.splitlines() if line][:2]
    assert title.startswith("# ") and first.startswith("For "), first


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_targets_exist():
    named = set()
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        named.update(re.findall(r"`make ([a-z-]+)|^make ([a-z-]+)", text, re.MULTILINE))
    targets = sorted({one or other for one, other in named})
    assert {"run", "test", "docs"} <= set(targets)
    done = subprocess.run(["make", "-n", *targets], cwd=str(ROOT), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


WITH_EXAMPLES = [page for page in DOCS if blocks(page, "python") and name_of(page) not in ELSEWHERE]


@pytest.mark.parametrize("path", [page for page in WITH_EXAMPLES if page.name != "studies.md"], ids=name_of)
def test_examples_in_python_run(path, tmp_path, monkeypatch):
    """In order, in one folder; a block that starts with a file's name is that file. Then the page's TOML."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before, names = set(sys.modules), {"__name__": "examples"}
    for block in blocks(path, "python"):
        file = re.match(r"# (\w+\.py)\n", block)
        if file:
            (tmp_path / file[1]).write_text(block, encoding="utf-8")
        else:
            exec(block, names)
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]
    for block in blocks(path, "toml"):
        planned(block, tmp_path)
    if path.name == "python.md":
        assert names["run"].summary.rounds == 5 and (tmp_path / "accuracy.png").exists()


def planned(block, folder):
    """Read and plan an example, without data. Keys that only the command line reads are left out."""
    block = re.sub(r"^log = .*\n", "", block, flags=re.MULTILINE)
    named = re.match(r"# (\w+\.toml)\n", block)
    file = folder / (named[1] if named else "example.toml")
    file.write_text("backend = 'torch'\n" * ("backend" not in block) + block, encoding="utf-8")
    found = plan(Experiment.read(file))
    found.backend.close()


EXAMPLES = [(page, block) for page in PAGES for block in blocks(page, "toml") if page not in WITH_EXAMPLES]


@pytest.mark.parametrize("block", [block for _, block in EXAMPLES], ids=[name_of(page) for page, _ in EXAMPLES])
def test_examples_in_toml_are_experiments(block, tmp_path):
    planned(block, tmp_path)


ROWS = [
    line.split("|")[1:3]
    for page in ("algorithms.md", "radio.md")
    for line in (ROOT / "docs" / page).read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and "`" in line
]


@pytest.mark.parametrize("keys", [keys for _, keys in ROWS], ids=[name.strip() for name, _ in ROWS])
def test_each_algorithm_and_each_radio_setting_is_an_experiment(keys, tmp_path):
    planned("\n".join(re.findall("`([^`]+)`", keys)), tmp_path)


COMMANDS = [
    (page, line)
    for page in DOCS
    for block in blocks(page, "sh")
    for line in block.splitlines()
    if name_of(page) not in ELSEWHERE and line and not LONG.search(line)
]


@pytest.mark.parametrize("page", sorted({page for page, _ in COMMANDS}), ids=name_of)
def test_commands_run(page, tmp_path, monkeypatch):
    """The commands of a page in one folder, with a smaller mine.toml of the quickstart and the page's files."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(
        blocks(ROOT / "docs" / "quickstart.md", "toml")[0].replace("epochs = 2", "epochs = 1"), encoding="utf-8"
    )
    write_files(page, tmp_path)
    for _, line in [one for one in COMMANDS if one[0] == page]:
        words = shlex.split(line, comments=True)
        assert words[:3] == ["python", "-m", "fl_simu"], line
        assert main(words[3:]) == 0, line
    assert os.getcwd() == str(tmp_path)
