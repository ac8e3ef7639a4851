"""`doctor` and the messages about missing packages, on any Python from 3.6 on."""

import ast
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from fl_simu.cli import doctor
from fl_simu.cli.app import main
from fl_simu.cli.doctor import Found, next_steps
from fl_simu.kernel.packages import PACKAGES, install_command, this_stack
from fl_simu.kernel.shell import python_command
from fl_simu.results import figures, pages

ROOT = Path(__file__).resolve().parent.parent.parent
# The modules of fl_simu that `doctor` runs before it knows that any package is installed.
ALONE = [
    "fl_simu/__init__.py",
    "fl_simu/__main__.py",
    "fl_simu/cli/__init__.py",
    "fl_simu/cli/doctor.py",
    "fl_simu/cli/surroundings.py",
    "fl_simu/kernel/__init__.py",
    "fl_simu/kernel/ending.py",
    "fl_simu/kernel/packages.py",
    "fl_simu/kernel/shell.py",
]

X86, ARM = ("Linux", "x86_64"), ("Linux", "aarch64")

STEPS = {
    "3.6": (Found((3, 6), *X86), ["Python 3.6 has no stack", "uv python install 3.11", "`make run`"]),
    "3.8": (Found((3, 8), *X86), ["Python 3.8 has no stack", "pyenv install 3.11", "`make run`"]),
    "3.9, a wheel": (
        Found((3, 9), *X86, source=False),
        ["Python 3.9 has no stack", "conda create -n py311 python=3.11", "install fl_simu with that Python"],
    ),
    "3.7 on Arm": (
        Found((3, 7), *ARM),
        ["3.7 has no stack on Linux aarch64: torch 1.4.0 has no build", "uv python install 3.11", "`make run`"],
    ),
    "3.7 on an Arm Mac": (
        Found((3, 7), "Darwin", "arm64"),
        ["3.7 has no stack on Darwin arm64", "uv python install 3.11", "`make run`"],
    ),
    "nothing installed": (
        Found((3, 12), *X86, missing=("torch", "numpy")),
        ["`make setup` in", " -m pip install -c requirements/modern.txt 'torch>=2.5' numpy`"],
    ),
    "nothing installed, 3.7": (
        Found((3, 7), *X86, missing=("torch", "syft")),
        [
            "`make setup` in",
            " -m pip install -c requirements/legacy.txt torch==1.4.0 syft==0.2.4 'protobuf<3.21' ",
        ],
    ),
    "one package": (
        Found((3, 11), *ARM, missing=("sklearn",)),
        [" -m pip install -c requirements/modern.txt 'scikit-learn>=1'`"],
    ),
    "a Python that pip may not install into": (
        Found((3, 11), *X86, missing=("click",), no_pip=True),
        [" -m venv .venv/own`", "`. .venv/own/bin/activate`", "`python -m pip install -c "],
    ),
    "make has been here": (
        Found((3, 9), *X86, missing=("torch",), made=("modern",)),
        ["Python 3.9 has no stack", "`. .venv/modern/bin/activate`"],
    ),
    "all is here": (Found((3, 11), *X86), ["-m fl_simu` runs the default experiment"]),
}


@pytest.mark.parametrize("found, expected", STEPS.values(), ids=STEPS)
def test_next_steps(found, expected, monkeypatch):
    monkeypatch.chdir(ROOT)
    steps = next_steps(found)
    assert len(steps) == len(expected)
    assert [part for part, step in zip(expected, steps) if part not in step] == []


def test_where_uv_made_the_environment_it_is_asked_to_install(monkeypatch, tmp_path):
    """`uv tool install` makes an environment without pip; this is its documented way to add a package."""
    (tmp_path / "uv").write_text("")
    (tmp_path / "uv").chmod(0o755)
    monkeypatch.setenv("FL_SIMU_SHELL_PATH", str(tmp_path))
    assert " -m pip install " in install_command("pandas")
    monkeypatch.setattr("fl_simu.kernel.packages.installed", lambda module: module != "pip")
    assert install_command("pandas").startswith(f"uv pip install --python {python_command()} ")


def test_a_wheel_points_to_no_file(monkeypatch, tmp_path):
    monkeypatch.setattr("fl_simu.kernel.packages.ROOT", str(tmp_path))
    (step,) = next_steps(Found((3, 11), *X86, missing=("matplotlib",), source=False))
    assert step.endswith(" -m pip install 'matplotlib>=3.5'`")
    for machine in (X86, ARM):
        told = doctor._syft(Found((3, 11), *machine, source=False))
        assert "environment.yml" not in told and "make" not in told
    assert "cannot be installed here" in told


def test_packages_are_those_of_setup_py(monkeypatch):
    given = {}
    setuptools = SimpleNamespace(setup=given.update, find_packages=lambda include: include)
    monkeypatch.setitem(sys.modules, "setuptools", setuptools)
    exec((ROOT / "setup.py").read_text(encoding="utf-8"), {"__file__": str(ROOT / "setup.py")})
    extras = [line for lines in given["extras_require"].values() for line in lines]

    def applying(lines):
        found = [line for line in map(Requirement, lines) if line.marker is None or line.marker.evaluate()]
        return {(line.name, str(line.specifier)) for line in found}

    def ours(optional):
        lines = [
            line for one in PACKAGES if bool(one.only_for) == optional for line in one.requirements(this_stack())
        ]
        return {(line.name, str(line.specifier)) for line in map(Requirement, lines)}

    assert ours(optional=False) == applying(given["install_requires"])
    assert ours(optional=True) == applying(extras)


BLOCKING = """
import sys
from fl_simu import __main__
from fl_simu.cli import doctor

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in blocked:
            raise ModuleNotFoundError("No module named {!r}".format(name), name=name)

sys.meta_path.insert(0, Blocker())
for name in TABLE:
    blocked = {name}
    print("@", name)
    print(doctor.diagnosis())
    assert not {"torch", "numpy", "click", "pydantic"} & set(sys.modules)
blocked = {"click"}
sys.argv = ["fl_simu", "list"]
sys.exit(__main__.main())
"""


def test_doctor_without_a_package():
    """Each package in turn cannot be imported; all in one process, which imports nothing else."""
    needed = [one for one in PACKAGES if not one.only_for and one.requirements(this_stack())]
    script = BLOCKING.replace("TABLE", repr([one.module for one in needed]))
    done = subprocess.run([sys.executable, "-c", script], cwd=str(ROOT), capture_output=True, text=True)
    (complaint,) = done.stderr.splitlines()
    assert complaint.startswith("fl_simu: No module named 'click'; `")
    assert complaint.endswith(" -m fl_simu doctor` says what to do") and done.returncode == 2
    parts = done.stdout.split("@ ")[1:]
    for package, part in zip(needed, parts):
        lines = part.splitlines()
        states = {line.split()[0]: line.split()[1] for line in lines if line.endswith(("installed", "missing"))}
        assert [name for name, state in states.items() if state == "missing"] == [package.module]
        (install,) = [line for line in lines if line.startswith("  install what is missing: ")]
        assert "-m pip install -c requirements/" in install
        assert all(requirement.strip("'") in install for requirement in package.requirements(this_stack()))
    assert len(parts) == len(needed)


@pytest.mark.parametrize("version", ["3.6", "3.8", "3.9", "3.13"])
def test_doctor_on_another_python(version):
    """Interpreters of pyenv that have only the standard library."""
    home = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv")))
    pythons = sorted(home.glob(f"versions/{version}.*/bin/python"))
    if not pythons:
        pytest.skip(f"needs a Python {version} of pyenv")
    clean = {"HOME": str(ROOT), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}

    def run(command):
        words = [str(pythons[0]), "-S", "-m", "fl_simu", command]
        return subprocess.run(words, cwd=str(ROOT), env=clean, capture_output=True, text=True)

    told = run("doctor")
    assert (told.returncode, told.stderr) == (0, "")
    step = "has no stack" if version != "3.13" else "pip install -c requirements/modern.txt 'torch>=2.5'"
    assert step in told.stdout
    other = run("list")
    assert other.returncode == 2 and other.stderr.count("\n") == 1
    assert f"No module named 'click'; `{pythons[0]} -m fl_simu doctor` says what to do" in other.stderr


@pytest.mark.skipif(sys.version_info < (3, 8), reason="needs ast's feature_version")
@pytest.mark.parametrize("file", ALONE)
def test_it_is_valid_python_3_6(file):
    ast.parse((ROOT / file).read_text(encoding="utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize(
    "command",
    [
        ["run", "small.toml"],
        ["run", "--resume", "out"],
        ["compare", "small.toml", "--backends", "torch"],
        ["attack", "poisoning", "small.toml"],
        ["attack", "leakage", "--set", "data=digits"],
        ["channel", "small.toml"],
        ["reproduce", "four_points"],
        [],
    ],
    ids=" ".join,
)
def test_without_matplotlib_nothing_is_begun(command, small, monkeypatch, capsys):
    monkeypatch.chdir(small.parent)
    monkeypatch.setattr(figures, "installed", lambda module: module != "matplotlib")
    assert main(command) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "matplotlib, which draws the figures, is not installed: `" in said.err
    assert said.err.count("\n") == 1 and "pip install" in said.err
    assert [path.name for path in small.parent.iterdir()] == ["small.toml"]


def test_without_plotly_no_page_is_begun(small, monkeypatch, capsys):
    monkeypatch.setattr(pages, "installed", lambda module: module != "plotly")
    assert main(["report", str(small.parent), "--out", str(small.parent / "page.html")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "plotly, which draws the charts, is not installed: `" in line and "pip install" in line
    assert [path.name for path in small.parent.iterdir()] == ["small.toml"]
