"""The actions that a server runs for its clients; each takes the worker and the arguments of the request."""

from typing import Any, Callable, Dict, List, Optional

import torch

from fl_simu.pointers.data import BaseDataset
from fl_simu.pointers.functions import by_name
from fl_simu.pointers.ids import ID_PROVIDER, label_of
from fl_simu.pointers.kinds import IN_PLACE, kind_of
from fl_simu.pointers.objects import ObjectWrapper
from fl_simu.pointers.parcels import opened, parcel
from fl_simu.pointers.wire import At

ATTRIBUTES = ("shape", "grad", "data", "dtype", "device", "requires_grad", "targets")


def keep(worker: Any, content: Dict[str, Any]) -> None:
    obj = opened(content, worker)
    if isinstance(obj, torch.Tensor):
        worker.keep(obj, content["id"])
    else:
        worker.set_obj(obj)


def fetch(worker: Any, obj_id: Any) -> Dict[str, Any]:
    return parcel(worker.get_obj(obj_id))


def call(worker: Any, name: str, args: List[Any], kwargs: Dict[str, Any], with_gradients: bool) -> Any:
    """Run one of torch's functions on objects of the worker."""
    func = by_name().get(name)
    if func is None:
        raise NotImplementedError(f"{name} is none of the functions of torch that a worker does")
    real = [_real(worker, value) for value in args]
    named = {key: _real(worker, value) for key, value in kwargs.items()}
    with torch.set_grad_enabled(bool(with_gradients)):
        result = worker.done(func, real, named)
    if kind_of(func) is IN_PLACE and isinstance(result, torch.Tensor):
        return args[0]
    return _stored(worker, result)


def attribute(worker: Any, at: At, name: str) -> Any:
    if name not in ATTRIBUTES:
        raise AttributeError(name)
    obj = _real(worker, at)
    value = getattr(obj, name)
    if isinstance(value, torch.Tensor) and isinstance(obj, torch.Tensor):
        return At(at.id, (*at.path, name), value.shape)
    return _stored(worker, value)


def assign(worker: Any, at: At, name: str, value: Any) -> None:
    if name not in ("grad", "data"):
        raise AttributeError(name)
    setattr(_real(worker, at), name, _real(worker, value))


def length(worker: Any, at: At) -> int:
    return len(_real(worker, at))


def item(worker: Any, at: At, index: Any) -> Any:
    obj = _real(worker, at)
    if not isinstance(obj, BaseDataset):
        raise TypeError(f"a {type(obj).__name__} has no samples")
    return _stored(worker, obj[_real(worker, index)])


def search(worker: Any, query: Any) -> List[Any]:
    """Kind, id, tags, description and other pointer fields of each object that is found."""
    found: List[Any] = []
    for obj in worker.search(query):
        label: Any = label_of(obj) if isinstance(obj, torch.Tensor) else obj
        more = {"shape": obj.shape} if isinstance(obj, torch.Tensor) else {}
        found.append([_kind(obj), label.id, label.tags, label.description, more])
    return found


def fit(worker: Any, dataset_key: str) -> Optional[Dict[str, Any]]:
    loss = worker.fit(dataset_key)
    return None if loss is None else parcel(loss)


def _kind(obj: Any) -> str:
    if isinstance(obj, torch.Tensor):
        return "tensor"
    return "program" if isinstance(obj, ObjectWrapper) else "dataset"


def _real(worker: Any, value: Any) -> Any:
    """Replace references in an argument by the worker's own objects."""
    if isinstance(value, At):
        for name in value.path:
            if name not in ATTRIBUTES:
                raise AttributeError(name)
        return worker.held(value.id, value.path)
    if type(value) in (list, tuple):
        return type(value)([_real(worker, one) for one in value])
    return value


def _stored(worker: Any, result: Any) -> Any:
    """Store the tensors of a result at the worker and replace them by references."""
    if isinstance(result, torch.Tensor):
        new = ID_PROVIDER.pop()
        worker.put(new, result)
        return At(new, (), result.shape)
    if isinstance(result, (list, tuple)) and not isinstance(result, torch.Size):
        return type(result)([_stored(worker, one) for one in result])
    return result


# The actions that a request may name.
ACTIONS: Dict[str, Callable] = {
    "keep": keep,
    "fetch": fetch,
    "call": call,
    "attribute": attribute,
    "assign": assign,
    "length": length,
    "item": item,
    "search": search,
    "fit": fit,
    "evaluate": lambda worker, *args: worker.evaluate(*args),
    "list_objects": lambda worker: worker.list_objects(),
    "objects_count": lambda worker: worker.objects_count(),
    "clear_objects": lambda worker: worker.clear_objects(return_self=False),
}
