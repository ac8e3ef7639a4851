"""The parts of torchvision that federated-learning scripts use, for `exec`: data sets and transforms.

If torchvision loads, its own transforms and models are used, and only its data sets are replaced.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Dict, Optional

import torch

from fl_simu.kernel.packages import installed
from fl_simu.kernel.shell import python_command
from fl_simu.old_scripts import image_sets
from fl_simu.old_scripts.image_augmentation import AUGMENTATIONS
from fl_simu.old_scripts.image_folders import ImageFolder, pil_loader
from fl_simu.old_scripts.image_functions import FUNCTIONS
from fl_simu.old_scripts.image_grids import UTILS
from fl_simu.old_scripts.image_sets import VisionDataset
from fl_simu.old_scripts.image_transforms import TRANSFORMS
from fl_simu.old_scripts.notices import Tell

# Replacements of torchvision's modules, without "torchvision."; names that are not listed refuse to be used.
MODULES = (
    "datasets", "datasets.folder", "datasets.mnist", "datasets.cifar", "datasets.vision", "transforms",
    "transforms.transforms", "transforms.functional", "models", "models.resnet", "models.vgg",
    "models.detection", "utils", "ops", "io",
)  # fmt: skip


def give(data_dir: Optional[Path], limit: Optional[int], tell: Tell) -> None:
    """Make `import torchvision` provide data sets that can be read, and the rest as far as it is installed."""
    sets = image_sets.classes(data_dir, limit, tell)
    if installed("torchvision"):
        try:
            own = importlib.import_module("torchvision.datasets")
            for module in (own, *(sys.modules[f"torchvision.datasets.{name}"] for name in ("mnist", "cifar"))):
                vars(module).update({name: kind for name, kind in sets.items() if name in vars(module)})
            return
        except Exception as error:  # a torchvision for another torch may fail in any way
            reason = " ".join(str(error).split()).split(". ")[0]
            tell(f"the torchvision that is installed does not load ({reason}); exec has its main parts")
            for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
                del sys.modules[name]
    for name, module in _modules(sets).items():
        sys.modules[name] = module


def install_command() -> str:
    """The command that installs the torchvision release for this torch."""
    major, minor = (int(part) for part in torch.__version__.split(".")[:2])
    # From torch 2.0 and torchvision 0.15 on, the minor versions have risen in step.
    wanted = f"torchvision==0.{minor + 15}.*" if major == 2 else "torchvision"
    build = "cu" + torch.version.cuda.replace(".", "") if torch.version.cuda else "cpu"
    return f"{python_command()} -m pip install '{wanted}' --index-url https://download.pytorch.org/whl/{build}"


def _modules(sets: Dict[str, type]) -> Dict[str, ModuleType]:
    contents: Dict[str, Dict[str, Any]] = {name: {} for name in MODULES}
    for name in ("datasets", "datasets.mnist", "datasets.cifar", "datasets.vision"):
        contents[name].update(sets, VisionDataset=VisionDataset)
    for name in ("transforms", "transforms.transforms"):
        contents[name].update(TRANSFORMS, **AUGMENTATIONS)
    for name in ("datasets", "datasets.folder"):
        contents[name]["ImageFolder"] = ImageFolder
    contents["datasets.folder"].update(pil_loader=pil_loader, default_loader=pil_loader)
    contents["transforms.functional"].update(FUNCTIONS)
    contents["utils"].update(UTILS)
    made = {f"torchvision.{name}": _module(f"torchvision.{name}", contents[name]) for name in MODULES}
    made["torchvision"] = _module("torchvision", {"__version__": "0.5.0"})
    for name, module in made.items():
        parent, _, child = name.rpartition(".")
        if parent:
            vars(made[parent])[child] = module
    return made


def _module(name: str, contents: Dict[str, Any]) -> ModuleType:
    def refuse(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)
        return _refusing(f"{name}.{attribute}")

    module = ModuleType(name)
    vars(module).update(contents, __getattr__=refuse, __path__=[])
    return module


def _refusing(name: str) -> type:
    """A class that can be imported, but refuses to be called or subclassed."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise NotImplementedError(
            f"{name} needs torchvision itself, in the build for this torch (another does not load): "
            f"`{install_command()}`"
        )

    return type(name.rpartition(".")[2], (), {"__new__": refuse, "__init_subclass__": refuse})
