"""The devices that a backend may train on."""

import re
from typing import Any, Dict, Tuple

import torch
from torch import Tensor

from fl_simu.kernel.errors import require

CPU = torch.device("cpu")


def require_device(name: str) -> None:
    """Raise BadField for a name that is none.

    Args:
        name: "cpu", "cuda", or "cuda:<index>".
    """
    kind, _, index = name.partition(":")
    known = name == "cpu" or (kind == "cuda" and (name == "cuda" or bool(re.fullmatch("[0-9]{1,3}", index))))
    require(known, "device", name, '"cpu", "cuda" or "cuda:<index>"')


def open_device(name: str) -> torch.device:
    """The device. On a GPU, float32 is multiplied as float32 (no TF32), so that results agree with a processor's.

    Raises:
        BadField: this machine, or this torch, has no such GPU.
    """
    device = torch.device(name)
    if device.type == "cuda":
        found = torch.cuda.device_count()
        require((device.index or 0) < found, "device", name, f"torch {torch.__version__} finds {found} GPUs here")
        parts: Tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
        for part in parts:
            # Torch 1.4 has no such switch, and no TF32.
            part.allow_tf32 = False
    return device


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
