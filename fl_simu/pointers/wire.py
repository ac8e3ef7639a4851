"""Messages between processes: plain data as JSON, tensors as safetensors. Nothing in them is ever executed.

A message is the length of its JSON in four bytes, the JSON, and the tensors. A value that JSON cannot represent is
a list of its kind and its content, `["tuple", [1, 2]]`. A list itself is `["list", [...]]`, and a tensor is its
number among the tensors.
"""

import json
import struct
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

# Longer messages are neither sent nor accepted.
LONGEST_BYTES = 2**30
LENGTH = struct.Struct(">I")
# Errors that can occur when reading bytes that are not a message.
BROKEN = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, SafetensorError)


class Malformed(ValueError):
    """Bytes that are not a message."""


class NotSent(NotImplementedError):
    """A value that a message cannot represent."""


class At(NamedTuple):
    """A reference to an object at the server: its id, the path of attributes, and a tensor's shape if known."""

    id: Any
    path: Tuple[str, ...] = ()
    shape: Any = None


def packed(value: Any) -> bytes:
    """Encode a value as a message.

    Raises:
        NotSent: part of it cannot be sent; the message says which.
        ValueError: the message would be too long.
    """
    tensors: Dict[str, torch.Tensor] = {}
    text = json.dumps(_plain(value, tensors), separators=(",", ":")).encode()
    message = LENGTH.pack(len(text)) + text + (save(tensors) if tensors else b"")
    if len(message) > LONGEST_BYTES:
        raise ValueError(f"{len(message):,} bytes are too long for a message: at most {LONGEST_BYTES:,}")
    return message


def unpacked(message: Any) -> Any:
    """Decode a message of `packed`.

    Raises:
        Malformed: `packed` did not make it.
    """
    if not isinstance(message, bytes) or len(message) < LENGTH.size:
        raise Malformed("not a message of fl_simu.pointers")
    end = LENGTH.size + LENGTH.unpack_from(message)[0]
    try:
        tensors = load(message[end:]) if len(message) > end else {}
        return _value(json.loads(message[LENGTH.size : end].decode()), tensors)
    except BROKEN as error:
        raise Malformed(f"not a message of fl_simu.pointers ({type(error).__name__})") from None


def _plain(value: Any, tensors: Dict[str, torch.Tensor]) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    for kind, of, parts in OUT:
        if isinstance(value, of):
            return [kind, parts(value, lambda part: _plain(part, tensors), tensors)]
    raise NotSent(f"{type(value).__name__} cannot be sent to a worker of another process")


def _value(plain: Any, tensors: Dict[str, torch.Tensor]) -> Any:
    if not isinstance(plain, list):
        if isinstance(plain, dict):
            raise Malformed("an object of JSON")
        return plain
    kind, content = plain
    return IN[kind](content, lambda part: _value(part, tensors), tensors)


def _added(tensor: torch.Tensor, tensors: Dict[str, torch.Tensor]) -> str:
    if hasattr(tensor, "child"):
        raise NotSent("a pointer or a secret cannot be sent to a worker of another process: get() it first")
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.dtype is torch.complex128:
        raise NotSent(f"a tensor of {tensor.layout}, {tensor.dtype} cannot be sent to another process")
    name = str(len(tensors))
    # safetensors does not allow two names for the same memory.
    tensors[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
    return name


def _numbers(value: bytes) -> torch.Tensor:
    return torch.from_numpy(np.frombuffer(bytearray(value), np.uint8))


def _tensor(tensors: Dict[str, torch.Tensor], name: str, requires_grad: bool) -> torch.Tensor:
    # safetensors returns views, which some in-place operations refuse.
    return tensors[name].clone().requires_grad_(requires_grad)


def _bytes_in(content: Any, tensors: Dict[str, torch.Tensor]) -> bytes:
    return tensors[content].numpy().tobytes()


def _named_in(content: Any, value: Callable) -> Any:
    """Named results of torch, such as those of `max`."""
    name, parts = content
    made = vars(torch.return_types)[name]
    if not (isinstance(made, type) and issubclass(made, tuple)):
        raise Malformed(name)
    return made(value(parts))


def _torch_name(thing: Any) -> str:
    return str(thing).rpartition(".")[2]


def _of_torch(kind: type) -> Callable:
    def found(content: Any, *_: Any) -> Any:
        thing = vars(torch)[content]
        if not isinstance(thing, kind):
            raise Malformed(content)
        return thing

    return found


def _each(values: Any, part: Callable, _: Any) -> List[Any]:
    return [part(one) for one in values]


def is_named(value: Any) -> bool:
    """Whether it is a named result of torch, as `max` returns."""
    return type(value).__module__ == "torch.return_types"


class _Named(type):
    def __instancecheck__(cls, value: Any) -> bool:
        return is_named(value)


class NamedResult(metaclass=_Named):
    """A named result of torch."""


# Kind, class, and function that gives the JSON content; the first match counts.
OUT: Tuple[Tuple[str, Any, Callable], ...] = (
    ("at", At, _each),
    ("named", NamedResult, lambda value, part, _: [type(value).__name__, part(list(value))]),
    ("size", torch.Size, lambda value, *_: list(value)),
    ("tuple", tuple, _each),
    ("list", list, _each),
    ("dict", dict, lambda value, part, _: [[part(key), part(one)] for key, one in value.items()]),
    ("set", (set, frozenset), lambda value, part, _: [part(one) for one in sorted(value, key=repr)]),
    ("tensor", torch.Tensor, lambda value, _, tensors: [_added(value, tensors), value.requires_grad]),
    ("array", np.ndarray, lambda value, _, tensors: _added(torch.from_numpy(np.array(value)), tensors)),
    ("bytes", bytes, lambda value, _, tensors: _added(_numbers(value), tensors)),
    ("slice", slice, lambda value, part, _: [part(value.start), part(value.stop), part(value.step)]),
    ("complex", complex, lambda value, *_: [value.real, value.imag]),
    ("ellipsis", type(Ellipsis), lambda *_: None),
    ("dtype", torch.dtype, lambda value, *_: _torch_name(value)),
    ("layout", torch.layout, lambda value, *_: _torch_name(value)),
    ("memory_format", torch.memory_format, lambda value, *_: _torch_name(value)),
    ("device", torch.device, lambda value, *_: str(value)),
    ("scalar", np.generic, lambda value, part, _: part(value.item())),
)

IN: Dict[str, Callable] = {
    "at": lambda content, value, _: At(*map(value, content)),
    "named": lambda content, value, _: _named_in(content, value),
    "size": lambda content, *_: torch.Size(content),
    "tuple": lambda content, value, _: tuple(map(value, content)),
    "list": lambda content, value, _: list(map(value, content)),
    "dict": lambda content, value, _: {value(key): value(one) for key, one in content},
    "set": lambda content, value, _: set(map(value, content)),
    "tensor": lambda content, _, tensors: _tensor(tensors, *content),
    "array": lambda content, _, tensors: tensors[content].numpy(),
    "bytes": lambda content, _, tensors: _bytes_in(content, tensors),
    "slice": lambda content, value, _: slice(*map(value, content)),
    "complex": lambda content, *_: complex(*content),
    "ellipsis": lambda *_: Ellipsis,
    "dtype": _of_torch(torch.dtype),
    "layout": _of_torch(torch.layout),
    "memory_format": _of_torch(torch.memory_format),
    "device": lambda content, *_: torch.device(content),
    "scalar": lambda content, value, _: value(content),
}
