"""The tutorial runs from start to end, and its stored output equals its new output."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

TUTORIAL = Path(__file__).resolve().parent.parent / "docs" / "tutorial.ipynb"
NEEDED = ("nbclient", "nbformat", "ipykernel")
MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

# Another processor may round a sum differently, and one test image of 355 then gets another class.
TOLERANCE = 0.02


def same(text, stored):
    """Whether two outputs have the same words and whole numbers, and nearly the same decimals."""
    one, other = (re.split(r"(\d+(?:\.\d+)?)", " ".join(output.split())) for output in (text, stored))
    return one[::2] == other[::2] and all(map(_near, one[1::2], other[1::2]))


def _near(one, other):
    return one == other or ("." in one and "." in other and abs(float(one) - float(other)) <= TOLERANCE)


def outputs(notebook):
    """The kinds and the text of the outputs of each code cell."""
    return {cell["id"]: list(map(_told, cell["outputs"])) for cell in notebook["cells"] if "outputs" in cell}


def _told(output):
    if output["output_type"] == "stream":
        return [output["name"]], output["text"]
    return sorted(output["data"]), output["data"]["text/plain"]


@pytest.mark.parametrize(
    "text, stored, expected",
    [
        ("accuracy 0.946\nsent 12 bit", "accuracy  0.943 sent 12 bit", True),
        ("accuracy 0.946", "accuracy 0.846", False),
        ("sent 12 bit", "sent 13 bit", False),
        ("sent 12 bit", "sent 12 bits", False),
        ("0.5 s", "0.5 s 0.5 s", False),
        ("about 1.0. Then", "about 1.0, then", False),
    ],
)
def test_what_counts_as_the_same(text, stored, expected):
    assert same(text, stored) is expected


def test_it_is_small_and_its_links_lead_somewhere():
    notebook = json.loads(TUTORIAL.read_text(encoding="utf-8"))
    assert TUTORIAL.stat().st_size < 400_000
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(links) >= 5 and all((TUTORIAL.parent / link).exists() for link in links)


@pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}, which the modern stack has")
def test_it_prints_what_is_stored_in_it():
    import nbformat

    from scripts.tutorial import execute

    notebook = nbformat.read(TUTORIAL, as_version=4)
    stored = outputs(notebook)
    execute(notebook)
    found = outputs(notebook)
    assert list(found) == list(stored)
    for cell, told in found.items():
        assert [kinds for kinds, _ in told] == [kinds for kinds, _ in stored[cell]], cell
        for (_, text), (_, before) in zip(told, stored[cell]):
            assert same(text, before), f"{cell}: `make tutorial` stores\n{text}\nin the place of\n{before}"
    assert [kinds for kinds, _ in found["plot"]] == [["image/png", "text/plain"]]
