"""The laws of data sources. Their data must be on this machine."""

import torch

from fl_simu.data.datasets import DataSource
from fl_simu.laws.base import Law, expect, once, same


def images_and_labels_are_as_it_says(source: DataSource) -> None:
    """Images float32, (N, C, H, W), finite; labels int64, (N,), from 0 to classes - 1; N at least 1.

    For text, images are whole numbers from 0 to symbols - 1.
    """
    found = source.load()
    same("the number of classes that are loaded", found.classes, source.classes)
    for part, samples in (("training", found.train), ("test", found.test)):
        images, labels = samples.images, samples.labels
        expect(len(labels) > 0, f"there is no {part} sample; right is at least one")
        same(f"the shape of the {part} images", tuple(images.shape), (len(labels), *source.shape))
        same(f"the shape of the {part} labels", tuple(labels.shape), (len(labels),))
        same(
            f"the dtypes of the {part} images and labels",
            (images.dtype, labels.dtype),
            (torch.float32, torch.int64),
        )
        expect(bool(torch.isfinite(images).all()), f"a {part} image holds NaN or infinite numbers")
        if source.symbols is not None:
            known = (images == images.floor()) & (images >= 0) & (images < source.symbols)
            told = f"a {part} text holds other numbers than whole ones from 0 to {source.symbols - 1}"
            expect(bool(known.all()), told)
        least, most = int(labels.min()), int(labels.max())
        told = f"{part} labels go from {least} to {most}"
        expect(least >= 0 and most < source.classes, f"{told}; right are 0 to {source.classes - 1}")


def loaded_again_the_data_are_the_same(source: DataSource) -> None:
    first, second = source.load(), source.load()
    for part, one, other in (("training", first.train, second.train), ("test", first.test, second.test)):
        equal = torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)
        expect(equal, f"the {part} samples are others the second time; right are the same")


LAWS = (Law(images_and_labels_are_as_it_says, once), Law(loaded_again_the_data_are_the_same, once))
