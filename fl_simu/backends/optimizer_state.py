"""An optimiser's memory as named tensors, which can be kept for each UE and written to a checkpoint."""

from typing import Any, Callable, Dict

import torch
from torch import Tensor

from fl_simu.ue.training import LocalTraining


def flatten_state(
    optimizer: torch.optim.Optimizer, fetch: Callable[[Tensor], Tensor] = Tensor.clone
) -> Dict[str, Tensor]:
    """Copies of the tensors and numbers that a torch optimiser remembers.

    Args:
        optimizer: any optimiser of torch.optim.
        fetch: makes a local copy of a tensor of the state; pointers need their own function.

    Returns:
        "<index of the parameter>/<name>" -> tensor. Plain numbers, such as Adam's step count on torch 1.4, become
        0-dim int64 tensors.
    """
    flat = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, parameter in enumerate(parameters):
        for name, value in sorted(optimizer.state.get(parameter, {}).items()):
            if value is not None:
                tensor = fetch(value) if isinstance(value, Tensor) else torch.tensor(value)
                flat[f"{index}/{name}"] = tensor
    return flat


def load_state(
    optimizer: torch.optim.Optimizer,
    flat: Dict[str, Tensor],
    place: Callable[[Tensor], Tensor] = Tensor.clone,
) -> None:
    """The inverse of `flatten_state`, into a newly built optimiser.

    A step count is restored in the form that this torch uses: a plain number on torch 1.4; on torch 2 a tensor,
    which stays here unless the optimiser is fused.
    """
    owners = [(parameter, group) for group in optimizer.param_groups for parameter in group["params"]]
    for key, tensor in flat.items():
        index, name = key.split("/")
        parameter, group = owners[int(index)]
        value: Any
        if name == "step" and not tensor.dtype.is_floating_point:
            value = int(tensor)
        elif name != "step" or group.get("fused"):
            value = place(tensor)
        else:
            value = tensor.clone()
        optimizer.state[parameter][name] = value


def memory_after_a_step(training: LocalTraining) -> Dict[str, Tensor]:
    """The memory of a UE's optimiser after a first step with zero gradients: its names, shapes, dtypes."""
    with torch.random.fork_rng(devices=[]):
        module = training.make_module()
    optimizer = training.build_optimizer(module)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter) if parameter.requires_grad else None
    optimizer.step()
    return flatten_state(optimizer)
