"""TorchHook: adds the methods that scripts call on plain tensors, modules and data sets to torch's own classes."""

import logging
import sys
from typing import Any, Optional

import torch
from torch import nn
from torch.utils.data import Dataset

from fl_simu.kernel.errors import UserError
from fl_simu.pointers.data import dataset_federate
from fl_simu.pointers.local import set_local_worker
from fl_simu.pointers.models import ModuleMethods
from fl_simu.pointers.native import leave_names
from fl_simu.pointers.optimizers import follow_models
from fl_simu.pointers.secret_methods import SecretMethods
from fl_simu.pointers.shown import print_labels
from fl_simu.pointers.tensors import TensorMethods
from fl_simu.pointers.uncovered import OPTIMIZER_METHODS, TENSOR_METHODS, refusing_method
from fl_simu.pointers.worker import VirtualWorker


class TorchHook:
    """The first hook adds the methods; later ones find them there, and use the same local worker.

    Args:
        torch: the module torch.
        local_worker: the local worker; by default a new one, "me".
        is_client: whether the local worker keeps no objects.
        verbose: accepted, but has no effect, as in 0.2.4.

    Raises:
        UserError: this torch is too old; the legacy stack has real syft.
    """

    def __init__(
        self,
        torch: Any = torch,
        local_worker: Optional[VirtualWorker] = None,
        is_client: bool = True,
        verbose: bool = True,
    ) -> None:
        self.torch = self.framework = torch
        self.local_worker: Optional[VirtualWorker] = None
        if _hooks:
            logging.warning("Torch was already hooked... skipping hooking process")
            self.local_worker = _hooks[0].local_worker
            return
        if not hasattr(sys.modules["torch.optim.optimizer"], "register_optimizer_step_pre_hook"):
            raise UserError(
                f"torch {torch.__version__} is not allowed: fl_simu.pointers needs torch 2.5 or newer; "
                "with torch 1.4.0 there is real syft 0.2.4"
            )
        self.local_worker = local_worker or VirtualWorker(self, id="me", is_client_worker=is_client)
        self.local_worker.hook = self
        set_local_worker(self.local_worker)
        _hooks.append(self)
        _add_methods()


_hooks: list = []


def first_hook() -> Optional[TorchHook]:
    return _hooks[0] if _hooks else None


class TorchAttributes:
    """`sy.torch`: torch's own names, and the hook."""

    def __init__(self, hook: TorchHook) -> None:
        self.hook = hook

    def __getattr__(self, name: str) -> Any:
        return getattr(self.hook.torch, name)


def attributes() -> Optional[TorchAttributes]:
    """The attributes of `sy.torch`; None before the first TorchHook."""
    return TorchAttributes(_hooks[0]) if _hooks else None


def _add_methods() -> None:
    leave_names()
    print_labels()
    for owner, methods in (
        (torch.Tensor, TensorMethods),
        (torch.Tensor, SecretMethods),
        (nn.Module, ModuleMethods),
    ):
        for name, member in vars(methods).items():
            if not name.startswith("__"):
                setattr(owner, name, member)
    for name in TENSOR_METHODS:
        setattr(torch.Tensor, name, refusing_method(f"Tensor.{name}"))
    for name in OPTIMIZER_METHODS:
        setattr(torch.optim.Optimizer, name, refusing_method(f"Optimizer.{name}"))
    Dataset.federate = dataset_federate  # type: ignore[attr-defined]
    follow_models()
