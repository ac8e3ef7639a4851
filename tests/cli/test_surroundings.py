"""`doctor`'s next step for each machine, on simulated machines."""

import importlib.util
import platform
import shutil
import sys
from types import SimpleNamespace

import pytest

from fl_simu.cli import doctor
from fl_simu.cli.surroundings import hints, look

PLAIN = ("COLAB_RELEASE_TAG", "CONDA_PREFIX", "WAYLAND_DISPLAY", "MPLBACKEND", "FL_SIMU_DATA")


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Simulates a machine: Linux with a display, without conda, GPU and torch, except for the given changes."""

    def put(system="Linux", processor="x86_64", version=(3, 11), programs=(), torch=None, modules=(), **variables):
        monkeypatch.setattr(platform, "system", lambda: system)
        monkeypatch.setattr(platform, "machine", lambda: processor)
        monkeypatch.setattr(sys, "version_info", (*version, 0, "final", 0))
        monkeypatch.setattr(shutil, "which", lambda name, *more, **options: name if name in programs else None)
        for name in PLAIN:
            monkeypatch.delenv(name, raising=False)
        for name, value in {"HOME": str(tmp_path), "DISPLAY": ":0", **variables}.items():
            monkeypatch.setenv(name, value)
        for name in modules:
            monkeypatch.setitem(sys.modules, name, SimpleNamespace())
        if torch is not None:
            (tmp_path / "version.py").write_text(torch)
        spec = SimpleNamespace(origin=str(tmp_path / "__init__.py")) if torch is not None else None
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)

    return put


CPU = "__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n"
MACHINES = {
    "as usual": ({}, []),
    "as usual, Python 3.7": ({"version": (3, 7), "programs": ("conda",)}, []),
    "Windows": ({"system": "Windows", "processor": "AMD64", "DISPLAY": ""}, ["`wsl --install` sets up a Linux"]),
    "Apple silicon": (
        {"system": "Darwin", "processor": "arm64", "DISPLAY": ""},
        ["`CONDA_SUBDIR=osx-64 conda create -n py37 -c conda-forge python=3.7`"],
    ),
    "an Intel Mac": ({"system": "Darwin", "DISPLAY": ""}, []),
    "conda without a 3.7": (
        {"programs": ("conda",)},
        ["for PySyft 0.2.4: `conda create -n py37 -c conda-forge python=3.7`; no Python 3.7 was found"],
    ),
    "an environment of conda without a 3.7": ({"CONDA_PREFIX": "/opt/conda"}, ["`conda create -n py37 "]),
    "conda and a 3.7": ({"programs": ("conda", "python3.7")}, []),
    "conda on Arm, which has no 3.7": ({"programs": ("conda",), "processor": "aarch64"}, []),
    "Colab": ({"COLAB_RELEASE_TAG": "release-colab"}, ["in Colab, begin commands with `!`"]),
    "Colab, inside its notebook": ({"modules": ("google.colab",)}, ["in Colab, begin commands with `!`"]),
    "a GPU without CUDA": ({"programs": ("nvidia-smi",), "torch": CPU}, ["torch has no CUDA: take the command"]),
    "a GPU with CUDA": ({"programs": ("nvidia-smi",), "torch": "cuda: Optional[str] = '12.8'\n"}, []),
    "a GPU with the CUDA of torch 1.4": ({"programs": ("nvidia-smi",), "torch": "cuda = '10.1'\n"}, []),
    "no GPU": ({"torch": CPU}, []),
    "no display": ({"DISPLAY": ""}, ["`report` writes a page of them"]),
    "no display, and windows asked for": (
        {"DISPLAY": "", "MPLBACKEND": "TkAgg"},
        ["MPLBACKEND is TkAgg: `export MPLBACKEND=Agg`"],
    ),
    "Wayland": ({"DISPLAY": "", "WAYLAND_DISPLAY": "wayland-0"}, []),
    "data that are no folder": ({"FL_SIMU_DATA": "/nowhere/data"}, ["FL_SIMU_DATA is /nowhere/data, which is no"]),
}


@pytest.mark.parametrize("put, expected", MACHINES.values(), ids=MACHINES)
def test_the_next_step_on_a_machine(put, expected, machine):
    machine(**put)
    told = hints(look())
    assert len(told) == len(expected)
    assert [part for part, line in zip(expected, told) if part not in line or "\n" in line] == []


def test_an_environment_of_conda_with_a_3_7_is_found(machine, tmp_path):
    (tmp_path / "py37" / "bin").mkdir(parents=True)
    (tmp_path / "py37" / "bin" / "python3.7").write_text("")
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda" / "environments.txt").write_text(f"/gone\n{tmp_path / 'py37'}\n")
    machine(programs=("conda",))
    assert hints(look()) == []


def test_without_data_it_tells_where_they_would_be(monkeypatch, tmp_path):
    monkeypatch.delenv("FL_SIMU_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told = doctor.diagnosis()
    assert f"looked for in {tmp_path / 'fl_simu'} (FL_SIMU_DATA is not set)" in told
    (step,) = [line for line in told.splitlines() if "MNIST was not found" in line]
    assert f" data fetch mnist` downloads it into {tmp_path / 'fl_simu'}, or `export FL_SIMU_DATA=FOLDER`" in step
