"""PySyft 0.2.4's plain federated-learning API on torch 2: workers, pointers, remote models, federated data.

    import torch, fl_simu.pointers as sy

    hook = sy.TorchHook(torch)
    bob = sy.VirtualWorker(hook, id="bob")
    x = torch.tensor([1.0, 2.0]).send(bob)
    print((x + x).get())

`python -m fl_simu exec SCRIPT.py` runs a script that imports syft; `install()` does the same in a notebook. What
is covered and what differs: docs/pointers.md.
"""

from typing import Any

from fl_simu.pointers.names import install, lookup
from fl_simu.pointers.network import allow_network
from fl_simu.pointers.quirks import strict

__all__ = ["allow_network", "install", "strict"]


def __getattr__(name: str) -> Any:
    return lookup("syft", name)
