"""The report page on runs: its content is complete, and it fetches nothing."""

import json
from html.parser import HTMLParser

import pytest

from fl_simu.cli.app import main


class Page(HTMLParser):
    """The tables of a page as texts, the references of its elements, and its preformatted text."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.sources, self.texts, self._cell = [], [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        sources = [value for name, value in attributes if name in ("src", "href")]
        self.sources += [value for value in sources if not value.startswith("#")]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th", "pre"):
            self._cell = ""

    def handle_data(self, data):
        if self._cell is not None:
            self._cell += data

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.tables[-1][-1].append(self._cell)
        elif tag == "pre":
            self.texts.append(self._cell)
        else:
            return
        self._cell = None


@pytest.fixture
def two_runs(small, tmp_path):
    fair = ["--set", 'meters=[{name="fairness"}]']
    assert main(["run", str(small), "--out", str(tmp_path / "one"), *fair]) == 0
    changes = ["--seed", "5", "--set", "payload=update", "--set", "compute.name=uniform"]
    assert main(["run", str(small), "--out", str(tmp_path / "<two>"), *fair, *changes]) == 0
    return tmp_path / "one", tmp_path / "<two>"


@pytest.mark.figures
def test_a_page_on_two_runs(two_runs, tmp_path):
    file = tmp_path / "sub" / "page.html"
    assert main(["report", *map(str, two_runs), "--out", str(file)]) == 0
    page = Page(file.read_text())
    assert all(source.startswith("data:image/png;base64,iVBORw0KGgo") for source in page.sources)
    # Charts replace most figures: the only pictures are the two of `fairness` per run.
    assert len(page.sources) == 4
    assert page.texts == [(run / "config.toml").read_text() for run in two_runs]
    results, differing = page.tables[:2]
    for at, run in enumerate(two_runs, start=1):
        summary, found = json.loads((run / "summary.json").read_text()), {row[0]: row[at] for row in results}
        assert found["run"] == run.name
        assert found["accuracy"] == "{:.2%}".format(summary["final_accuracy"])
        assert int(found["full"]) == summary["accepted_full"]
        assert found["model_sha256"] == summary["model_sha256"][:16]
    assert differing[0] == ["key", "one", "<two>"]
    assert {row[0]: row[1:] for row in differing[1:]} == {
        "compute.high_s": ["", "1.5"],
        "compute.low_s": ["", "0.5"],
        "compute.name": ["constant", "uniform"],
        "compute.per_round": ["", "True"],
        "compute.seconds": ["1.0", ""],
        "payload": ["weights", "update"],
        "seed": ["3", "5"],
    }


def test_a_page_on_one_run_lies_in_its_folder(small, tmp_path, capsys):
    assert main(["run", str(small), "--out", str(tmp_path / "one")]) == 0
    assert main(["report", str(tmp_path / "one")]) == 0
    file = tmp_path / "one" / "report.html"
    assert capsys.readouterr().out.splitlines()[-1] == f"  {file}"
    page = Page(file.read_text())
    assert ["run", "one"] in page.tables[0]
    # Half a surrogate pair, which UTF-8 cannot encode.
    summary = tmp_path / "one" / "summary.json"
    summary.write_text(summary.read_text().replace('"small"', '"small \\ud800"'))
    assert main(["report", str(tmp_path / "one")]) == 0
    assert "<h1>small ?</h1>" in file.read_text()


def test_mistakes_are_told_in_one_line(small, tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert capsys.readouterr().err == f"fl_simu: {tmp_path} holds no run that has ended: it has no summary.json\n"
    assert main(["report"]) == 2
    assert "DIR is missing" in capsys.readouterr().err
    (tmp_path / "summary.json").write_text("{")
    assert main(["report", str(tmp_path)]) == 2
    assert "is damaged" in capsys.readouterr().err
