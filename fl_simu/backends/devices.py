"""What a backend keeps on the device that it trains on, and when that has no more room."""

from typing import Dict, Tuple

import torch
from torch import Tensor

CPU = torch.device("cpu")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a processor or a GPU has no more memory; torch has several for it."""
    words = ("out of memory", "not enough memory", "can't allocate memory", "ALLOC_FAILED")
    told = isinstance(error, RuntimeError) and any(word in str(error) for word in words)
    return told or isinstance(error, MemoryError)


class Residents:
    """Tensors that all UEs share, as their training data, copied to the device the first time only.

    Args:
        device: where they are wanted.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        # By the identity of the original, which is kept so that it stays one.
        self._copies: Dict[int, Tuple[Tensor, Tensor]] = {}

    def copy_of(self, tensor: Tensor) -> Tensor:
        """The tensor on the device; itself where that is the processor."""
        if self._device.type == "cpu":
            return tensor
        if id(tensor) not in self._copies:
            self._copies[id(tensor)] = tensor, tensor.to(self._device)
        return self._copies[id(tensor)][1]
