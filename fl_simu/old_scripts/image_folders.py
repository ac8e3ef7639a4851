"""torchvision's `ImageFolder`: images in one folder per class."""

import os
from typing import Any, Callable, Dict, List, Optional, Tuple

from fl_simu.old_scripts import image_functions
from fl_simu.old_scripts.image_sets import VisionDataset

ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def pil_loader(path: str) -> Any:
    """Load an image in colour."""
    if image_functions.Image is None:
        raise ModuleNotFoundError("images of torchvision are PIL images: `pip install pillow`")
    with open(path, "rb") as file:
        return image_functions.Image.open(file).convert("RGB")


class ImageFolder(VisionDataset):
    """Images of `root/CLASS/.../NAME.png`; classes, and the images of each, are sorted by name.

    Args:
        root: the folder.
        transform: applied to each image.
        target_transform: applied to each class index.
        loader: loads an image from a path.
        is_valid_file: whether a path is an image; by default, whether it has one of the usual file endings.

    Raises:
        RuntimeError: there are no images.
    """

    def __init__(
        self,
        root: str,
        transform: Optional[Callable] = None,
        target_transform: Optional[Callable] = None,
        loader: Callable = pil_loader,
        is_valid_file: Optional[Callable] = None,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.loader = loader
        self.classes: List[str] = sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir())
        self.class_to_idx: Dict[str, int] = {name: at for at, name in enumerate(self.classes)}
        valid = is_valid_file or (lambda path: path.lower().endswith(ENDINGS))
        self.samples: List[Tuple[str, int]] = [
            (path, at)
            for at, name in enumerate(self.classes)
            for folder, _, files in sorted(os.walk(os.path.join(self.root, name), followlinks=True))
            for path in (os.path.join(folder, file) for file in sorted(files))
            if valid(path)
        ]
        if not self.samples:
            raise RuntimeError(f"no images in the folders below {self.root}; names end in {', '.join(ENDINGS)}")
        self.imgs, self.targets = self.samples, [target for _, target in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        path, target = self.samples[index]
        image = self.loader(path)
        if self.transform is not None:
            image = self.transform(image)
        return image, target if self.target_transform is None else self.target_transform(target)
