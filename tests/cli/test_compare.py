"""`compare`: backends by name and by table, and the same model from each backend."""

import json

import pytest

from fl_simu.cli import compare
from fl_simu.cli.app import main

WORKERS = [f"--backend={{ name = 'processes', workers = {count}, exact = true }}" for count in (1, 2, 3)]
POINTERS = "--backend={ name = 'processes', workers = 2, inner = 'syft' }"


@pytest.fixture
def in_this_process(monkeypatch):
    """Run in this process: a new interpreter per run takes seconds; tests/test_readme.py covers that."""

    def run(experiment, folder, data_dir):
        file = folder.path.with_name("config.toml")
        file.write_text(experiment.to_toml())
        assert main(["run", str(file), "--out", str(folder.path)]) == 0
        return 100.0

    monkeypatch.setattr(compare, "_run", run)


def test_neither_backend_nor_number_of_workers_makes_a_difference(small, tmp_path, in_this_process, capsys):
    folder = tmp_path / "compared"
    assert main(["compare", str(small), "--backends", "torch,syft", *WORKERS, POINTERS, "--out", str(folder)]) == 0
    rows = json.loads((folder / "compare.json").read_text())
    assert [(row["backend"], row["label"]) for row in rows] == [
        ("torch", "torch exact=true"),
        ("syft", "syft"),
        ("processes", "processes workers=1 exact=true"),
        ("processes", "processes workers=2 exact=true"),
        ("processes", "processes workers=3 exact=true"),
        ("processes", "processes workers=2 inner=syft"),
    ]
    assert [row["largest_difference"] for row in rows] == [0.0] * 6
    assert len({row["model_sha256"] for row in rows}) == 1
    assert (folder / "processes-workers=2-inner=syft" / "summary.json").exists()
    table = capsys.readouterr().out.split("\nbackend ")[1].splitlines()[1:7]
    assert [line.split("  ")[0] for line in table] == [row["label"] for row in rows]
