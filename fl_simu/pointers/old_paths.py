"""Names of PySyft 0.1 for objects that 0.2.4 has in another place; each is reported once on stderr.

They come from the packages 0.1.13a1 (April 2019) and 0.1.29a1 (December 2019). Most existed up to 0.2.0 too.
"""

from typing import Dict, Optional, Tuple

from fl_simu.kernel.notices import tell_once

_FL, _POINTERS = "syft.frameworks.torch.fl", "syft.generic.pointers"
_TENSORS = "syft.frameworks.torch.tensors.interpreters"

# A module of 0.1 -> the module of 0.2.4 with the same contents.
MODULES = {
    "syft.frameworks.torch.federated": _FL,
    "syft.frameworks.torch.federated.dataset": f"{_FL}.dataset",
    "syft.frameworks.torch.federated.dataloader": f"{_FL}.dataloader",
    "syft.frameworks.torch.federated.utils": f"{_FL}.utils",
    "syft.frameworks.torch.pointers": _POINTERS,
    "syft.frameworks.torch.pointers.callable_pointer": f"{_POINTERS}.callable_pointer",
    "syft.frameworks.torch.pointers.object_pointer": f"{_POINTERS}.object_pointer",
    "syft.frameworks.torch.pointers.object_wrapper": f"{_POINTERS}.object_wrapper",
    "syft.frameworks.torch.pointers.pointer_tensor": f"{_POINTERS}.pointer_tensor",
    f"{_TENSORS}.pointer": f"{_POINTERS}.pointer_tensor",
    f"{_TENSORS}.multi_pointer": f"{_POINTERS}.multi_pointer",
}

# Names that 0.1 has in a package, and 0.2.4 in a module.
NAMES: Dict[Tuple[str, str], Tuple[str, str]] = {
    ("syft", "VirtualGrid"): ("syft", "PrivateGridNetwork"),
    ("syft.grid", "VirtualGrid"): ("syft", "PrivateGridNetwork"),
    ("syft.workers", "AbstractWorker"): ("syft.workers.abstract", "AbstractWorker"),
    ("syft.workers", "BaseWorker"): ("syft.workers.base", "BaseWorker"),
    ("syft.workers", "VirtualWorker"): ("syft", "VirtualWorker"),
    ("syft.workers", "WebsocketClientWorker"): ("syft", "WebsocketClientWorker"),
    ("syft.workers", "WebsocketServerWorker"): ("syft", "WebsocketServerWorker"),
    ("syft.generic", "IdProvider"): ("syft.generic.id_provider", "IdProvider"),
    ("syft.generic", "ObjectStorage"): ("syft.generic.object_storage", "ObjectStorage"),
    ("syft.frameworks.torch", "TorchHook"): ("syft", "TorchHook"),
    ("syft.frameworks.torch.hook", "TorchHook"): ("syft", "TorchHook"),
    ("syft.frameworks.torch.pointers", "CallablePointer"): (f"{_POINTERS}.callable_pointer", "CallablePointer"),
    ("syft.frameworks.torch.pointers", "ObjectPointer"): (f"{_POINTERS}.object_pointer", "ObjectPointer"),
    ("syft.frameworks.torch.pointers", "ObjectWrapper"): (f"{_POINTERS}.object_wrapper", "ObjectWrapper"),
    ("syft.frameworks.torch.pointers", "PointerTensor"): ("syft", "PointerTensor"),
    (_TENSORS, "AdditiveSharingTensor"): ("syft", "AdditiveSharingTensor"),
    (_TENSORS, "FixedPrecisionTensor"): ("syft", "FixedPrecisionTensor"),
    (_TENSORS, "MultiPointerTensor"): ("syft", "MultiPointerTensor"),
    (_TENSORS, "PointerTensor"): ("syft", "PointerTensor"),
}


def told(old: str, new: str) -> None:
    tell_once(f"fl_simu.pointers: {old} is a name of PySyft 0.1; it stands for {new} of 0.2.4")


def module(name: str) -> Optional[str]:
    """The module of 0.2.4 for a module of 0.1, reported once; None for any other name."""
    new = MODULES.get(name)
    if new is not None:
        told(name, new)
    return new
