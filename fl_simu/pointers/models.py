"""The members of `ModuleMethods`, which a TorchHook adds to modules. Modules become remote in place."""

import copy
from typing import Any, Iterator

import torch
from torch import nn

from fl_simu.pointers import quirks
from fl_simu.pointers.wrappers import Wrapper


class ModuleMethods:
    """A module's side of PySyft's API: its parameters travel, and so do the buffers of batch norm."""

    def send(self: Any, *dest: Any, force_send: bool = False, **options: Any) -> Any:
        """Make every parameter a pointer to a copy of itself at a worker; missing gradients become zeros."""
        _fill_gradients(self)
        for tensor in _travellers(self):
            tensor.send_(*dest, **options)
        return self

    def get(self: Any) -> Any:
        """Bring every parameter back."""
        for parameter in self.parameters():
            parameter.get_()
        for buffer in self.buffers():
            if isinstance(buffer, Wrapper):
                buffer.get_()
        return self

    send_, get_ = send, get

    def move(self: Any, destination: Any) -> None:
        """Let the worker that holds the parameters pass them on to another one."""
        for tensor in list(_travellers(self)):
            tensor.move(destination)

    def fix_precision(self: Any, **options: Any) -> Any:
        """Fix the precision of every parameter in place; see `SecretMethods`."""
        _fill_gradients(self)
        return _done_to_each(self, "fix_precision_", **options)

    def share(self: Any, *owners: Any, **options: Any) -> Any:
        """Share every parameter, whose precision is fixed, among workers; `get` brings them back."""
        return _done_to_each(self, "share_", *owners, **options)

    def float_precision(self: Any) -> Any:
        """Turn every fixed-precision parameter back into floats."""
        return _done_to_each(self, "float_precision_")

    fix_prec, fix_precision_, share_ = fix_precision, fix_precision, share
    float_prec, float_precision_ = float_precision, float_precision

    def copy(self: Any) -> Any:
        return copy.deepcopy(self)

    named_tensors = nn.Module.named_parameters

    # TorchScript compiles the properties of every module that it scripts or traces, except those that are marked.
    @property
    @torch.jit.unused
    def owner(self: Any) -> Any:
        return next((tensor.owner for tensor in self.parameters()), None)

    @property
    @torch.jit.unused
    def location(self: Any) -> Any:
        return next((tensor.location for tensor in self.parameters()), None)


def _done_to_each(module: Any, name: str, *args: Any, **options: Any) -> Any:
    for parameter in module.parameters():
        getattr(parameter, name)(*args, **options)
    return module


def _travellers(module: Any) -> Iterator[Any]:
    yield from module.parameters()
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()):
        quirks.is_strict("batch_norm")
    if not quirks.strictly():
        yield from module.buffers()


def _fill_gradients(module: Any) -> None:
    """As in 0.2.4: if one gradient is missing, all become zeros."""
    parameters = [parameter for parameter in module.parameters() if not isinstance(parameter, Wrapper)]
    if any(parameter.grad is None for parameter in parameters):
        for parameter in parameters:
            if parameter.requires_grad:
                parameter.grad = torch.zeros_like(parameter)
