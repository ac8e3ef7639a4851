"""Names of PySyft 0.1 under which scripts look for what 0.2.4 has elsewhere, each told on stderr once."""

from typing import Optional

from fl_simu.kernel.notices import tell_once

# A module of 0.1 -> that of 0.2.4 with the same contents.
MODULES = {
    "syft.frameworks.torch.federated": "syft.frameworks.torch.fl",
    "syft.frameworks.torch.federated.dataset": "syft.frameworks.torch.fl.dataset",
    "syft.frameworks.torch.federated.dataloader": "syft.frameworks.torch.fl.dataloader",
    "syft.frameworks.torch.federated.utils": "syft.frameworks.torch.fl.utils",
    "syft.frameworks.torch.pointers": "syft.generic.pointers",
    "syft.frameworks.torch.pointers.pointer_tensor": "syft.generic.pointers.pointer_tensor",
    "syft.frameworks.torch.pointers.object_pointer": "syft.generic.pointers.object_pointer",
    "syft.frameworks.torch.tensors.interpreters.pointer": "syft.generic.pointers.pointer_tensor",
    "syft.frameworks.torch.tensors.interpreters.multi_pointer": "syft.generic.pointers.multi_pointer",
}

# What a package of 0.1 had in its own name, and 0.2.4 has in a module.
NAMES = {
    ("syft", "VirtualGrid"): ("syft", "PrivateGridNetwork"),
    ("syft.workers", "VirtualWorker"): ("syft", "VirtualWorker"),
    ("syft.workers", "BaseWorker"): ("syft.workers.base", "BaseWorker"),
    ("syft.workers", "WebsocketClientWorker"): ("syft", "WebsocketClientWorker"),
    ("syft.workers", "WebsocketServerWorker"): ("syft", "WebsocketServerWorker"),
    ("syft.generic.pointers", "PointerTensor"): ("syft", "PointerTensor"),
    ("syft.generic.pointers", "ObjectPointer"): ("syft.generic.pointers.object_pointer", "ObjectPointer"),
}


def told(old: str, new: str) -> None:
    tell_once(f"fl_simu.pointers: {old} is a name of PySyft 0.1; it stands for {new} of 0.2.4")


def module(name: str) -> Optional[str]:
    """The module of 0.2.4 that a module of 0.1 stands for, told once; None for any other name."""
    new = MODULES.get(name)
    if new is not None:
        told(name, new)
    return new
