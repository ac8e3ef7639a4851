"""Facts about this installation: its stack, its implementation of syft, its versions."""

import platform
import sys
from importlib.machinery import PathFinder
from typing import Dict

from fl_simu import __version__

# As in setup.py: the Python version decides which of the two stacks is installed. Nothing is imported for this.
MODERN = sys.version_info >= (3, 8)


def stack() -> str:
    """The stack that this process runs on, "modern" or "legacy"."""
    return "modern" if MODERN else "legacy"


def syft_installed() -> bool:
    """Whether real PySyft is installed, whatever `import syft` returns in this process; nothing is imported."""
    return PathFinder.find_spec("syft") is not None


def whose_syft() -> str:
    """The implementation of PySyft 0.2's API that runs here: "PySyft", "fl_simu.pointers", or "" for none."""
    return "PySyft" if syft_installed() else "fl_simu.pointers" if MODERN else ""


def lacks_syft() -> str:
    """The missing requirement for PySyft 0.2's API, in a few words; empty if an implementation runs here."""
    return "" if whose_syft() else "needs syft 0.2.4, or torch 2"


def versions() -> Dict[str, str]:
    """Versions that affect the results; those of syft or its replacement only if this process uses it."""
    import torch

    found = {"python": platform.python_version(), "torch": torch.__version__}
    if syft_installed():
        if "syft" in sys.modules:
            found["syft"] = sys.modules["syft"].version.__version__
    elif "fl_simu.pointers" in sys.modules:
        found["fl_simu.pointers"] = __version__
    return found
