"""What this installation is: which stack, whose syft, which versions."""

import platform
import sys
from importlib.machinery import PathFinder
from typing import Dict

from fl_simu import __version__

# As in setup.py: the version of Python decides which of the two stacks is installed. Nothing is imported for it.
MODERN = sys.version_info >= (3, 8)


def stack() -> str:
    """Which of the two stacks this process runs on."""
    return "modern" if MODERN else "legacy"


def syft_installed() -> bool:
    """Whether real PySyft is here, whatever `import syft` means in this process; nothing is imported."""
    return PathFinder.find_spec("syft") is not None


def whose_syft() -> str:
    """Whose implementation of PySyft 0.2's API runs here: "PySyft", "fl_simu.pointers", or "" for nobody's."""
    return "PySyft" if syft_installed() else "fl_simu.pointers" if MODERN else ""


def lacks_syft() -> str:
    """What is missing for PySyft 0.2's API, in a few words; empty where somebody's runs here."""
    return "" if whose_syft() else "needs syft 0.2.4, or torch 2"


def versions() -> Dict[str, str]:
    """Versions of what decides the numbers; of syft, or what stands in for it, where this process uses it."""
    import torch

    found = {"python": platform.python_version(), "torch": torch.__version__}
    if syft_installed():
        if "syft" in sys.modules:
            found["syft"] = sys.modules["syft"].version.__version__
    elif "fl_simu.pointers" in sys.modules:
        found["fl_simu.pointers"] = __version__
    return found
