"""Every command on a page, typed unchanged in a fresh shell (`make test-commands`)."""

import os
import re
import shutil

import pytest
from checkouts import ENTER, Checkout
from pages import FRONT, PAGES, ROOT, blocks, name_of, write_files

pytestmark = [pytest.mark.commands, pytest.mark.timeout(3600)]

# Commands that are not typed, each with the reason.
NOT_TYPED = {
    r"make run$": "tests/test_readme.py types it",
    r"make (test|lint|docs$|wheel|setup|help|reference|format)": ".ci/run types them, or they lead there",
    r"make (benchmark|agreement|fuzz|lock|picture|tutorial|docs-serve)": "for developers of fl_simu; minutes each",
    r"conda |python3 -m venv |python -m (pip|build)|\. \.venv/own/": "set-up; scripts/wheel.sh does the same",
    r"fl_simu( |$)": "the command of an installed wheel, which scripts/wheel.sh tries",
    r".* --address auto": "needs a Ray cluster",
    r".* exec (SCRIPT|\[|run_websocket)": "needs a script of the user's; tests/pointers has some",
    r".* (DIR|FILE|config\.toml|--only K)\b": "the name stands for one of the user's",
    r"python -m fl_simu compare$": "a sentence names it so; the quickstart has all of it",
}
# Commands that take minutes to hours at full size. They run for this time, and are then stopped as by a user.
LONG = re.compile(
    r".*-m fl_simu( reproduce (?!.*--quick)| reproduce (all|papers) | attack leakage (?!--set data=digits)"
    r"| attack poisoning --|$)"
)
PATIENCE_S = 20.0


def commands(page):
    """The commands in code blocks, then those in sentences, in order."""
    text = page.read_text(encoding="utf-8")
    lines = "".join(blocks(page, "(?:sh|text)")).splitlines()
    lines += re.findall(r"^\$ (.+)$", text, re.MULTILINE)
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    lines += re.findall(r"`((?:\S*python3? -m |fl_simu |make |conda |pip )[^`]+)`", prose)
    command = re.compile(r"(\S*python3? -m |fl_simu( |$)|make |conda |pip |mkdir |sed |\. )")
    return [line for line in dict.fromkeys(lines) if command.match(line) and line != ENTER]


def reason(line):
    """Why a command is not typed, or None."""
    return next((why for pattern, why in NOT_TYPED.items() if re.match(pattern, line)), None)


TYPED = [page for page in PAGES if page.name != "CHANGELOG.md" and not all(map(reason, commands(page)))]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    parts = ("fl_simu", "scripts", "requirements", "experiments", "tests", "Makefile", "setup.py")
    found = Checkout(tmp_path_factory.mktemp("check out"), parts)
    (found.root / "home").mkdir()
    return found


@pytest.mark.parametrize("page", TYPED, ids=name_of)
def test_the_commands_of_a_page_run_as_typed(page, checkout):
    """In order, with the files that the page and the quickstart show. FL_SIMU_DATA names the real data."""
    # Reproduced results are not computed again; apart from that, a page sees no files of earlier pages.
    for left in [path for path in checkout.root.glob("runs/*") if path.name != "reproduce"]:
        shutil.rmtree(str(left)) if left.is_dir() else left.unlink()
    quickstart = ROOT / "docs" / "quickstart.md"
    (mine, *_) = [*(blocks(page, "toml") if page in FRONT else []), *blocks(quickstart, "toml")]
    (checkout.root / "mine.toml").write_text(mine, encoding="utf-8")
    write_files(page, checkout.root)
    data = {name: os.path.abspath(os.environ[name]) for name in ["FL_SIMU_DATA"] if name in os.environ}
    lines = [line for line in commands(page) if reason(line) is None]
    if "runs/mine" in lines[0] and "--out" not in lines[0]:
        # The folder that this page describes already exists.
        lines.insert(0, "python -m fl_simu run mine.toml --out runs/mine")
    for line in lines:
        print(line, flush=True)
        checkout.shell(f"{ENTER}\n{line}", patience_s=PATIENCE_S if LONG.match(line) else None, **data)


def test_what_is_not_typed_is_there():
    every = [line for page in PAGES for line in commands(page)]
    assert [pattern for pattern in NOT_TYPED if not any(re.match(pattern, line) for line in every)] == []
    assert all((ROOT / word).exists() for word in ("scripts/wheel.sh", ".ci/run", "tests/pointers"))
