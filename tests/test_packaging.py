"""The wheel holds the code, its defaults and its experiments, and nothing else."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

from fl_simu import __version__
from fl_simu.studies import catalogue

# The tests share one wheel.
pytestmark = pytest.mark.xdist_group("wheel")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel built from a copy of this checkout, with the installed tools."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy2(str(ROOT / name), str(source))
    for name in ("fl_simu", "experiments"):
        skipped = shutil.ignore_patterns("__pycache__", "*.png", "*.gif", "runs")
        shutil.copytree(str(ROOT / name), str(source / name), ignore=skipped)
    words = ["-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(made), "."]
    done = subprocess.run([sys.executable, *words], cwd=str(source), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = made.glob("*.whl")
    return zipfile.ZipFile(str(file))


def files(folder, *endings):
    found = (path for path in (ROOT / folder).rglob("*") if path.suffix in endings and "runs" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in found}


def test_it_holds_the_code_the_defaults_and_the_experiments(wheel):
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    code = files("fl_simu", ".py", ".toml", ".html", ".css", ".js") | {"fl_simu/py.typed"}
    studies = {f"fl_simu/{name}" for name in files("experiments", ".py", ".toml", ".csv")}
    assert "fl_simu/experiments/graded_upload/quick.toml" in studies
    assert held == code | studies


def test_its_metadata(wheel):
    (place,) = {name.split("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    told = message_from_bytes(wheel.read(place + "/METADATA"))
    assert (told["Name"].replace("-", "_"), told["Version"]) == ("fl_simu", __version__)
    assert told["Description-Content-Type"] == "text/markdown"
    readme = (ROOT / "README.md").read_text(encoding="utf-8").strip()
    assert readme.splitlines()[-1] in wheel.read(place + "/METADATA").decode()
    extras = set(told.get_all("Provides-Extra"))
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert extras == set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert "fl_simu = fl_simu.__main__:main" in wheel.read(place + "/entry_points.txt").decode()
    assert any(name.endswith("LICENSE") for name in wheel.namelist())


def test_it_knows_its_experiments_beside_somebody_else_s(wheel, tmp_path):
    """Unpacked as by an installer, next to another package that is also called experiments."""
    site = tmp_path / "site"
    wheel.extractall(str(site))
    (site / "experiments" / "other").mkdir(parents=True)
    (site / "experiments" / "other" / "study.toml").write_text("# of somebody else")
    code = "from fl_simu.studies import catalogue; print(catalogue.studies(), catalogue.scripts())"
    environment = dict(os.environ, PYTHONPATH=str(site))
    told = subprocess.check_output([sys.executable, "-c", code], cwd=str(tmp_path), env=environment)
    assert told.decode().strip() == f"{catalogue.studies()} {catalogue.scripts()}"
