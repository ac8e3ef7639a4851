"""The pages of the documentation, for the tests that read them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCS = sorted((ROOT / "docs").rglob("*.md"))
EXPERIMENTS = sorted((ROOT / "experiments").rglob("README.md"))
FRONT = [ROOT / name for name in ("README.md", "README.zh.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = [*FRONT, *DOCS, *EXPERIMENTS]


def blocks(path, language):
    """The fenced code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def write_files(page, folder):
    """Write the TOML and Python blocks of a page that begin with a file's name, into a folder."""
    for block in [*blocks(page, "toml"), *blocks(page, "python")]:
        file = re.match(r"# (\w+\.(?:py|toml))\n", block)
        if file:
            (folder / file[1]).write_text(block, encoding="utf-8")


def name_of(path):
    return path.relative_to(ROOT).as_posix()
