"""Adapts this repository to mkdocs: pages outside docs/, links between pages, formulas.

This is a hook of mkdocs, see mkdocs.yml. README.md becomes the front page, README.zh.md the Chinese front page,
and each experiment's README a page. Links in the sources work in the repository; the hook turns them into links of
the site. A link to a file that is not a page, such as code, becomes plain text.
"""

import html
import os
import posixpath
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Page

ROOT = Path(__file__).resolve().parent.parent
# Pages outside docs/ with a different address on the site.
MOVED = {"README.md": "index.md", "README.zh.md": "zh/index.md"}
PAGES = ["README.md", "README.zh.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "benchmarks/README.md"]
# Files that a page outside docs/ may show or link to.
ASSETS = (".png", ".toml")

LINK = re.compile(r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\[\]]*\])*)\]\((?P<target>[^)\s]+)\)")
FENCE = re.compile(r"(^```.*?^```\s*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def experiments() -> list[str]:
    """The READMEs of experiments, and of groups of them, as paths in the repository."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "experiments").rglob("README.md"))


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Replace EXPERIMENTS in the navigation by the experiments."""
    for section in config.nav or []:
        for pages in section.values():
            if isinstance(pages, list) and "EXPERIMENTS" in pages:
                at = pages.index("EXPERIMENTS")
                pages[at : at + 1] = experiments()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/ and the files that they show."""
    for path in [*PAGES, *experiments()]:
        files.append(File.generated(config, MOVED.get(path, path), abs_src_path=str(ROOT / path)))
    for file in (ROOT / "experiments").rglob("*"):
        if file.suffix in ASSETS:
            files.append(File.generated(config, file.relative_to(ROOT).as_posix(), abs_src_path=str(file)))
    return files


def in_repository(uri: str) -> str:
    """The path in the repository of the source of a page or file of the site."""
    back = {there: here for here, there in MOVED.items()}
    if uri in back:
        return back[uri]
    return uri if (ROOT / uri).exists() and not (ROOT / "docs" / uri).exists() else f"docs/{uri}"


def title(path: Path) -> str:
    """The first heading of a page, which replaces the file name that a link shows in the repository."""
    if path.suffix == ".ipynb":
        return "the tutorial"
    found = re.search(r"^# (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else path.stem


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links of the repository into links of the site, except in code."""
    here = posixpath.dirname(in_repository(page.file.src_uri))
    places = {in_repository(file.src_uri): file.src_uri for file in files}

    def linked(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(here, target))
        path = path if path in places or not (ROOT / path / "README.md").exists() else f"{path}/README.md"
        if path not in places:
            if not (ROOT / path).exists():
                raise ValueError(f"{page.file.src_uri} links to {target}, which is not there")
            return match["text"]
        text = match["text"]
        if re.fullmatch(r"`?[\w./-]+\.(md|ipynb)`?", text):
            text = title(ROOT / path)
        address = posixpath.relpath(places[path], posixpath.dirname(page.file.src_uri) or ".")
        return f"{match['image']}[{text}]({address}{'#' + anchor if anchor else ''})"

    parts = FENCE.split(markdown)
    return "".join(part if at % 2 else LINK.sub(linked, part) for at, part in enumerate(parts))


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write formulas as MathML, which browsers render without a script."""

    def formula(match: re.Match[str]) -> str:
        display = "block" if match[1] == "div" else "inline"
        return convert(html.unescape(match[2]), display=display)

    return FORMULA.sub(formula, content)


def on_post_build(config: MkDocsConfig) -> None:
    """Print the path of the front page."""
    print(os.path.join(os.path.relpath(config.site_dir), "index.html"))
