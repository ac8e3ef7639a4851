"""The packages that fl_simu needs, and the commands that install them.

Uses only the standard library and runs on Python 3.6 and newer, because `doctor` must run without any package.
"""

import importlib.util
import os
import platform
import shlex
import shutil
import sys
from typing import NamedTuple, Optional, Sequence, Tuple

from fl_simu.kernel.shell import SHELL_PATH, python_command

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Package(NamedTuple):
    """A package that fl_simu imports.

    Args:
        module: its name in an import statement.
        legacy, modern: the pip requirements on each stack; empty if the stack does not need the package.
        only_for: the feature that needs it; "" if fl_simu cannot run without it.
    """

    module: str
    legacy: Tuple[str, ...]
    modern: Tuple[str, ...]
    only_for: str = ""

    def requirements(self, stack: str) -> Tuple[str, ...]:
        """The pip requirements on a stack."""
        return self.legacy if stack == "legacy" else self.modern


def _both(requirement: str, module: str = "", only_for: str = "") -> Package:
    return Package(module or requirement.split(">")[0], (requirement,), (requirement,), only_for)


# The same as in setup.py; a test compares them.
PACKAGES = (
    Package("torch", ("torch==1.4.0",), ("torch>=2.5",)),
    Package("torchvision", ("torchvision==0.5.0",), ()),
    Package("syft", ("syft==0.2.4", "protobuf<3.21", "MarkupSafe<=2.0.1"), ()),
    _both("numpy"),
    Package("click", ("click>=7.1,<8",), ("click>=7.1",)),
    Package("pydantic", ("pydantic>=2.5,<3",), ("pydantic>=2.5,<3",)),
    Package("tomli", ("tomli>=2",), ("tomli>=2",) if sys.version_info < (3, 11) else ()),
    Package("importlib_metadata", ("importlib_metadata>=4.6",), ()),
    _both("tomli-w", "tomli_w"),
    _both("tqdm"),
    _both("pooch>=1.8"),
    _both("requests"),
    _both("psutil>=5"),
    _both("matplotlib>=3.5"),
    _both("plotly>=5.18"),
    Package("safetensors", ("safetensors>=0.4,<0.5",), ("safetensors>=0.4",)),
    _both("scikit-learn>=1", "sklearn"),
    _both("typing_extensions"),
    Package("ray", ("ray>=2.7,<2.8",), ("ray>=2.7",), "backend ray"),
    _both("scikit-image>=0.19", "skimage", "SSIM of attack leakage"),
    _both("pandas>=1.3", only_for="pandas data frames of runs"),
    _both("scipy", only_for="attack leakage on batches of images"),
    Package("websockets", (), ("websockets>=15",), "websocket workers of old PySyft scripts"),
    _both("tensorboard>=2.10", only_for="logger tensorboard"),
    _both("wandb>=0.15", only_for="logger wandb"),
    Package("mlflow", ("mlflow-skinny>=1.30",), ("mlflow>=2.10",), "logger mlflow"),
    Package("dp_accounting", (), ("dp-accounting>=0.6,<0.7",), "epsilon of privacy if UEs are drawn"),
)


def installed(module: str) -> bool:
    """Whether a package is installed, without importing it; a plain folder with its name does not count."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin not in (None, "namespace")


def stack_of(version: Sequence[int], system: str, machine: str) -> str:
    """The stack for a Python version and platform, "legacy" or "modern"; "" if no supported torch exists."""
    if tuple(version[:2]) == (3, 7):
        return "legacy" if machine == "x86_64" and system in ("Linux", "Darwin") else ""
    return "modern" if tuple(version[:2]) >= (3, 10) else ""


def this_stack() -> str:
    """The stack for this Python."""
    return stack_of(sys.version_info[:2], platform.system(), platform.machine())


def locked(stack: str) -> Optional[str]:
    """Path of a stack's locked requirements; None if there is no source tree, as with a wheel."""
    path = os.path.join(ROOT, "requirements", stack + ".txt")
    return os.path.relpath(path) if stack and os.path.exists(path) else None


def install_command(*modules: str, stack: Optional[str] = None, python: str = "") -> str:
    """The command that installs packages in their locked versions.

    Args:
        modules: the names of the packages in import statements.
        stack: "legacy" or "modern"; by default that of this Python.
        python: the command of an interpreter that has pip; by default this interpreter.
    """
    stack = this_stack() if stack is None else stack
    wanted = [one for package in PACKAGES if package.module in modules for one in package.requirements(stack)]
    lock = locked(stack)
    words = (["-c", lock] if lock else []) + wanted
    pip = python + " -m pip install" if python else _pip_install()
    return " ".join([pip] + [shlex.quote(word) for word in words])


def _pip_install() -> str:
    """This Python's pip, or uv's: environments from `uv tool install` have no pip."""
    if not installed("pip") and shutil.which("uv", path=os.environ.get(SHELL_PATH)):
        return "uv pip install --python " + python_command()
    return python_command() + " -m pip install"
