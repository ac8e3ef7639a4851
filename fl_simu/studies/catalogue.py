"""The experiments that came with fl_simu: a folder each, below experiments/ or below a group there.

They lie beside the package in its source, and in the package where it was installed from a wheel.

A group is a folder that holds experiments and is none itself, as experiments/papers.
"""

from pathlib import Path
from typing import Dict, List

_PACKAGE = Path(__file__).resolve().parents[1]
# Beside an installed package there may be somebody else's folder of this name.
FOLDER = next(
    (one for one in (_PACKAGE / "experiments", _PACKAGE.parent / "experiments") if one.is_dir()),
    _PACKAGE / "experiments",
)
STUDY, SCRIPT = "study.toml", "experiment.py"


def folders() -> Dict[str, Path]:
    """The folder of each experiment by its name, sorted; none where they were left out."""
    places = [f"{depth}/{kind}" for depth in ("*", "*/*") for kind in (STUDY, SCRIPT)]
    found = [file.parent for place in places for file in FOLDER.glob(place)]
    return {folder.name: folder for folder in sorted(found, key=lambda folder: folder.name)}


def groups() -> Dict[str, List[str]]:
    """The names of the experiments in each group."""
    found: Dict[str, List[str]] = {}
    for name, folder in folders().items():
        if folder.parent != FOLDER:
            found.setdefault(folder.parent.name, []).append(name)
    return found


def studies() -> List[str]:
    """The experiments that a study.toml describes."""
    return [name for name, folder in folders().items() if (folder / STUDY).exists()]


def scripts() -> List[str]:
    """The experiments that are a script."""
    return [name for name, folder in folders().items() if (folder / SCRIPT).exists()]
