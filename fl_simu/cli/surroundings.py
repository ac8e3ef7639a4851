"""The environment of the Python that runs `doctor`, and any next steps, one line each.

Uses only the standard library, and runs on Python 3.6 and newer.
"""

import importlib.util
import os
import platform
import re
import shutil
import sys
from typing import List, NamedTuple, Optional

from fl_simu.kernel.shell import command_line, python_command


class Surroundings(NamedTuple):
    """The environment of a Python installation.

    Args:
        system, machine: as the platform module names them.
        legacy: whether this Python has the legacy stack.
        colab: whether this is a Google Colab notebook.
        conda: whether conda is installed.
        python37: whether a Python 3.7 is on the PATH or in a conda environment.
        gpu: whether there is an NVIDIA GPU.
        cuda: the CUDA version of torch; "" for a torch without CUDA, None without torch.
        display: whether windows can be shown.
        backend: the matplotlib backend that the environment sets.
        data: FL_SIMU_DATA, as the environment sets it.
    """

    system: str
    machine: str
    legacy: bool = False
    colab: bool = False
    conda: bool = False
    python37: bool = False
    gpu: bool = False
    cuda: Optional[str] = None
    display: bool = True
    backend: str = ""
    data: str = ""


def look() -> Surroundings:
    """Look at this machine. Nothing is imported."""
    system = platform.system()
    return Surroundings(
        system,
        platform.machine(),
        sys.version_info[:2] == (3, 7),
        "COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules,
        bool(os.environ.get("CONDA_PREFIX") or shutil.which("conda")),
        _python37(),
        shutil.which("nvidia-smi") is not None,
        _cuda_of_torch(),
        system != "Linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")),
        os.environ.get("MPLBACKEND", ""),
        os.environ.get("FL_SIMU_DATA", ""),
    )


def _python37() -> bool:
    if shutil.which("python3.7"):
        return True
    # conda lists every environment that it creates in this file.
    try:
        with open(os.path.expanduser("~/.conda/environments.txt"), encoding="utf-8") as file:
            folders = file.read().splitlines()
    except (OSError, UnicodeError):
        return False
    return any(os.path.exists(os.path.join(folder, "bin", "python3.7")) for folder in folders)


def _cuda_of_torch() -> Optional[str]:
    """The version that torch recorded when it was built; importing torch takes seconds."""
    try:
        spec = importlib.util.find_spec("torch")
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.origin:
        return None
    try:
        with open(os.path.join(os.path.dirname(spec.origin), "version.py"), encoding="utf-8") as file:
            found = re.search(r"^cuda\b.*= *['\"]([\d.]+)['\"]", file.read(), re.MULTILINE)
    except (OSError, UnicodeError):
        return None
    return found.group(1) if found else ""


def hints(here: Surroundings) -> List[str]:
    """The next step for each unusual fact."""
    steps = []
    if here.system == "Windows":
        steps.append("Windows is not tested: `wsl --install` sets up a Linux in which everything runs")
    elif here.system == "Darwin" and here.machine == "arm64" and not here.legacy:
        steps.append(
            "for PySyft 0.2.4 on Apple silicon, through Rosetta: "
            "`CONDA_SUBDIR=osx-64 conda create -n py37 -c conda-forge python=3.7`"
        )
    elif here.conda and not here.legacy and not here.python37 and here.machine in ("x86_64", "AMD64"):
        steps.append("for PySyft 0.2.4: `conda create -n py37 -c conda-forge python=3.7`; no Python 3.7 was found")
    if here.colab:
        steps.append(
            "in Colab, begin commands with `!`, and set --out and FL_SIMU_DATA to folders of a mounted Drive: "
            "files elsewhere are lost when the session ends"
        )
    if here.gpu and here.cuda == "":
        steps.append(
            "there is an NVIDIA GPU, but torch has no CUDA: take the command that installs it from "
            f"https://pytorch.org/get-started/locally, and run it with `{python_command()} -m pip`"
        )
    if not here.display:
        told = f"; MPLBACKEND is {here.backend}: `export MPLBACKEND=Agg`" if _shows_windows(here.backend) else ""
        steps.append(
            f"there is no display, and none is needed: figures are files, and `report` writes a page of them{told}"
        )
    if here.data and not os.path.isdir(os.path.expanduser(here.data)):
        steps.append(
            f"FL_SIMU_DATA is {here.data}, which is not a folder: set it to one that contains mnist/ or others"
        )
    return steps


def _shows_windows(backend: str) -> bool:
    """Whether a matplotlib backend needs a display; those for files and notebooks do not."""
    return bool(backend) and not re.match("(agg|cairo|pdf|pgf|ps|svg|template|module:.*)$", backend, re.IGNORECASE)


def without_data(cache: str) -> str:
    """The next step if MNIST is not on this machine."""
    return (
        f"MNIST was not found: `{command_line('data', 'fetch', 'mnist')}` downloads it into {cache}, or "
        "`export FL_SIMU_DATA=FOLDER` names a folder that contains mnist/; until then the default run uses digits"
    )
