"""Transport between processes: turn an object of a worker into plain data, and back into an object."""

import io
from typing import Any, Dict

import torch
from torch import nn

from fl_simu.pointers.client import CallablePointer, TrainConfig
from fl_simu.pointers.data import BaseDataset
from fl_simu.pointers.ids import label_of
from fl_simu.pointers.objects import ObjectWrapper
from fl_simu.pointers.refusals import refusal

TRACE = "trace or script it first: torch.jit.trace(model, data), @torch.jit.script for a loss"
CONFIG = ("id", "batch_size", "epochs", "optimizer", "optimizer_args", "max_nr_batches", "shuffle")
LABEL = ("id", "tags", "description")


def parcel(obj: Any) -> Dict[str, Any]:
    """An object as plain data and tensors.

    Raises:
        NotImplementedError: it cannot be sent.
    """
    if hasattr(obj, "child"):
        raise refusal(f"send() of a {type(obj.child).__name__} to a worker of another process", "get() it first")
    if isinstance(obj, torch.Tensor):
        return {"kind": "tensor", **_tensor(obj)}
    content = {name: getattr(obj, name) for name in LABEL if hasattr(obj, name)}
    if isinstance(obj, ObjectWrapper):
        return {"kind": "program", "archive": _archive(obj.obj), **content}
    if isinstance(obj, BaseDataset):
        return {"kind": "dataset", "data": obj.data, "targets": obj.targets, **content}
    if isinstance(obj, TrainConfig):
        ids = [pointer.id_at_location for pointer in (obj.model_ptr, obj.loss_fn_ptr)]
        return {"kind": "config", "ids": ids, "fields": {name: getattr(obj, name) for name in CONFIG}}
    raise refusal(f"sending a {type(obj).__name__} to a worker of another process", "send tensors and models")


def opened(content: Dict[str, Any], owner: Any) -> Any:
    """Rebuild the object, with a worker as its owner."""
    kind, label = content["kind"], {name: content[name] for name in LABEL if name in content}
    if kind == "tensor":
        return _tensor_of(content, owner)
    if kind == "program":
        # A TorchScript archive: a program, which is not unpickled, and runs only when it is called.
        return ObjectWrapper(torch.jit.load(io.BytesIO(content["archive"]), map_location="cpu"), **label)
    if kind == "dataset":
        return BaseDataset(content["data"], content["targets"], owner=owner, **label)
    if kind == "config":
        config = TrainConfig(None, None, owner, **{name: content["fields"][name] for name in CONFIG})
        pointers = [CallablePointer(owner, one, owner, None, False) for one in content["ids"]]
        config.model_ptr, config.loss_fn_ptr = pointers
        return config
    raise ValueError(f"no object is a {kind}")


def _archive(program: Any) -> bytes:
    if not isinstance(program, (torch.jit.ScriptModule, torch.jit.ScriptFunction)):
        raise refusal(f"TrainConfig.send of a {type(program).__name__} to a worker of another process", TRACE)
    buffer = io.BytesIO()
    torch.jit.save(program, buffer)
    return buffer.getvalue()


def _tensor(tensor: torch.Tensor) -> Dict[str, Any]:
    label = label_of(tensor)
    gradient = tensor.grad if tensor.is_leaf else None
    return {
        "values": tensor.detach(),
        "is_parameter": isinstance(tensor, nn.Parameter),
        "requires_grad": tensor.requires_grad,
        "gradient": gradient,
        **{name: getattr(label, name) for name in LABEL},
    }


def _tensor_of(content: Dict[str, Any], owner: Any) -> torch.Tensor:
    tensor = content["values"]
    if content["is_parameter"]:
        tensor = nn.Parameter(tensor, content["requires_grad"])
    elif content["requires_grad"]:
        tensor.requires_grad_()
    tensor.grad = content["gradient"]
    label = label_of(tensor)
    label.owner = owner
    for name in LABEL:
        setattr(label, name, content[name])
    return tensor
