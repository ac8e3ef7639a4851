"""Tensors that a backend keeps on its training device, and a test for running out of its memory."""

from typing import Dict, Tuple

import torch
from torch import Tensor

CPU = torch.device("cpu")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that a processor or a GPU is out of memory; torch has several for this."""
    words = ("out of memory", "not enough memory", "can't allocate memory", "ALLOC_FAILED")
    told = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return told or isinstance(error, MemoryError)


class Residents:
    """Tensors that all UEs share, such as their training data, each copied to the device only once.

    Args:
        device: the target device.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # By the identity of the original, which is kept so that its identity is not reused.
        self._copies: Dict[int, Tuple[Tensor, Tensor]] = {}

    def copy_of(self, tensor: Tensor) -> Tensor:
        """The tensor on the device; the tensor itself if the device is the processor."""
        if self._device.type == "cpu":
            return tensor
        if id(tensor) not in self._copies:
            self._copies[id(tensor)] = tensor, tensor.to(self._device)
        return self._copies[id(tensor)][1]
