"""Empty: FedLab imports torchvision for data sets that are not used here."""

from . import datasets, transforms

__all__ = ["datasets", "transforms"]
