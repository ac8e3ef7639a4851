"""What `doctor` sees around its Python, and the next step where it matters, a line each.

The standard library alone, and Python 3.6 and newer.
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
    """The machine around a Python.

    Args:
        system, machine: as the platform module names them.
        legacy: whether this Python has the legacy stack.
        colab: whether this is a notebook of Google Colab.
        conda: whether conda is here.
        python37: whether a Python 3.7 is on the PATH or in an environment of conda.
        gpu: whether a GPU of NVIDIA is here.
        cuda: the CUDA of torch; "" for a torch without, None where there is no torch.
        display: whether windows can be shown.
        backend: of matplotlib, as the environment sets it.
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
    # conda notes each environment that it makes in this file.
    try:
        with open(os.path.expanduser("~/.conda/environments.txt"), encoding="utf-8") as file:
            folders = file.read().splitlines()
    except (OSError, UnicodeError):
        return False
    return any(os.path.exists(os.path.join(folder, "bin", "python3.7")) for folder in folders)


def _cuda_of_torch() -> Optional[str]:
    """As torch has written it down when it was built; torch itself takes seconds to import."""
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
    """The next step for each thing that is not as usual."""
    steps = []
    if here.system == "Windows":
        steps.append("Windows is not tested: `wsl --install` gives a Linux, in which all of this runs")
    elif here.system == "Darwin" and here.machine == "arm64" and not here.legacy:
        steps.append(
            "for PySyft 0.2.4 on Apple silicon, through Rosetta: "
            "`CONDA_SUBDIR=osx-64 conda create -n py37 -c conda-forge python=3.7`"
        )
    elif here.conda and not here.legacy and not here.python37 and here.machine in ("x86_64", "AMD64"):
        steps.append("for PySyft 0.2.4: `conda create -n py37 -c conda-forge python=3.7`; no Python 3.7 is here")
    if here.colab:
        steps.append(
            "in Colab, begin commands with `!`, and let --out and FL_SIMU_DATA name folders of a mounted Drive: "
            "what lies elsewhere goes with the session"
        )
    if here.gpu and here.cuda == "":
        steps.append(
            "an NVIDIA GPU is here and torch has no CUDA: take the command for it from "
            f"https://pytorch.org/get-started/locally, with `{python_command()} -m pip`"
        )
    if not here.display:
        told = f"; MPLBACKEND is {here.backend}: `export MPLBACKEND=Agg`" if _shows_windows(here.backend) else ""
        steps.append(
            f"no display is here, and none is needed: figures are files, `report` makes a page of them{told}"
        )
    if here.data and not os.path.isdir(os.path.expanduser(here.data)):
        steps.append(
            f"FL_SIMU_DATA is {here.data}, which is no folder: point it to one that holds mnist/ or others"
        )
    return steps


def _shows_windows(backend: str) -> bool:
    """Whether a backend of matplotlib needs a display: those in files, and in notebooks, do not."""
    return bool(backend) and not re.match("(agg|cairo|pdf|pgf|ps|svg|template|module:.*)$", backend, re.IGNORECASE)


def without_data(cache: str) -> str:
    """The next step where no data set is here that does not come with a package."""
    return (
        f"no MNIST is here: `{command_line('data', 'fetch', 'mnist')}` downloads it into {cache}, or "
        "`export FL_SIMU_DATA=FOLDER` names a folder that holds mnist/; until then the default run takes digits"
    )
