"""The devices that models run on: named in a config, and opened when a run is planned."""

import re
from typing import TYPE_CHECKING, Any, Tuple

from fl_simu.kernel.errors import require

if TYPE_CHECKING:
    import torch


def require_device(name: str, field: str = "device") -> None:
    """Raise BadField for a name that is not a device.

    Args:
        name: "cpu", "cuda", or "cuda:<index>".
        field: the field that the error names.
    """
    kind, _, index = name.partition(":")
    known = name == "cpu" or (kind == "cuda" and (name == "cuda" or bool(re.fullmatch("[0-9]{1,3}", index))))
    require(known, field, name, '"cpu", "cuda" or "cuda:<index>"')


def open_device(name: str, field: str = "device") -> "torch.device":
    """The device. On a GPU, float32 is multiplied without TF32, so that results agree with those of a CPU.

    Raises:
        BadField: this machine, or this torch, has no such GPU.
    """
    # Checking an experiment must not import torch.
    import torch

    kind, _, index = name.partition(":")
    if kind == "cuda":
        found = torch.cuda.device_count()
        # Torch stores the index as a signed 8-bit number, so it would report a large index wrongly.
        require(int(index or 0) < found, field, name, f"torch {torch.__version__} finds {found} GPUs here")
        parts: Tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
        for part in parts:
            # Torch 1.4 has neither this switch nor TF32.
            part.allow_tf32 = False
    return torch.device(name)
