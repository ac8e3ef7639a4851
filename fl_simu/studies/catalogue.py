"""The experiments that come with fl_simu: one folder each, in experiments/ or in a group there.

In a source tree, experiments/ is next to the package; a wheel has it inside the package.

A group is a folder that only holds experiments, for example experiments/papers.
"""

from pathlib import Path
from typing import Dict, List

_PACKAGE = Path(__file__).resolve().parents[1]
# Next to an installed package there may be an unrelated folder of this name, so look inside the package first.
FOLDER = next(
    (one for one in (_PACKAGE / "experiments", _PACKAGE.parent / "experiments") if one.is_dir()),
    _PACKAGE / "experiments",
)
STUDY, SCRIPT = "study.toml", "experiment.py"


def folders() -> Dict[str, Path]:
    """The folder of each experiment by its name, sorted; empty if the installation has no experiments."""
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
