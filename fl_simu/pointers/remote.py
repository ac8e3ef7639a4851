"""`RemoteWorker`: the local side of a worker in another process. It forwards each operation to that worker."""

import builtins
from collections import deque
from typing import Any, Callable, Deque, Dict, Iterable, List

import torch

from fl_simu.pointers import exceptions
from fl_simu.pointers.client import CallablePointer
from fl_simu.pointers.data import PointerDataset
from fl_simu.pointers.far import Far
from fl_simu.pointers.functions import name_of
from fl_simu.pointers.local import local_worker
from fl_simu.pointers.parcels import opened, parcel
from fl_simu.pointers.pointers import PointerTensor
from fl_simu.pointers.refusals import refusal
from fl_simu.pointers.wire import At, NotSent, is_named
from fl_simu.pointers.worker import Id, ObjectStorage, VirtualWorker

POINTERS = {"tensor": PointerTensor, "dataset": PointerDataset, "program": CallablePointer}
AT_THE_SERVER = "do it in the server's process, before start()"


class RemoteWorker(VirtualWorker):
    """A worker whose objects are in another process; `carried` sends a request there and returns the answer."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Ids of objects whose pointers are deleted; the next request reports them. A pointer can be deleted at any
        # time, even during a request.
        self._gone: Deque[Id] = deque()
        super().__init__(*args, **kwargs)

    def carried(self, request: Dict[str, Any]) -> Dict[str, Any]:
        raise NotImplementedError

    def ask(self, action: str, *args: Any) -> Any:
        """Have the server run one of its actions.

        Raises:
            Exception: an error of the same class as on the server, with the same message.
        """
        request = self.request(action, *args)
        try:
            answer = self.carried(request)
        except (NotSent, ValueError):
            # The request was not sent.
            self._gone.extend(request["gone"])
            raise
        return self._understood(answer)

    def request(self, action: str, *args: Any) -> Dict[str, Any]:
        gone = []
        while self._gone:
            gone.append(self._gone.popleft())
        return {"gone": gone, "action": action, "args": _mapped(list(args), Far, lambda far: At(far.id, far.path))}

    def _understood(self, answer: Dict[str, Any]) -> Any:
        if "error" in answer:
            raise _error(*answer["error"])
        return _mapped(answer["result"], At, lambda at: Far(self, at.id, at.path, at.shape))

    def asked_of(self, far: Far, name: str) -> Any:
        return self.ask("attribute", far, name)

    # The interface that pointers use.

    is_far = True

    def held(self, obj_id: Id, path: Iterable[str] = ()) -> Far:
        return Far(self, obj_id, tuple(path))

    def done(self, func: Callable, args: List[Any], kwargs: Dict[str, Any]) -> Any:
        name = name_of(func)
        if not name:
            called = getattr(func, "__name__", func)
            raise refusal(f"{called} on a pointer to a worker of another process", "get() the tensor first")
        try:
            return self.ask("call", name, args, kwargs, torch.is_grad_enabled())
        except NotSent as error:
            raise refusal(f"{name} on a pointer to worker {self.id}", str(error)) from None

    def put(self, obj_id: Id, obj: Any) -> None:
        if isinstance(obj, torch.Tensor):
            self.keep(obj, obj_id)
        elif obj is not None:
            raise refusal(f"a {type(obj).__name__} at a worker of another process", "get() it first")

    def keep(self, tensor: Any, obj_id: Id) -> None:
        self.ask("keep", {**parcel(tensor), "id": obj_id})

    def get_obj(self, obj_id: Id) -> Any:
        return opened(self.ask("fetch", obj_id), local_worker())

    def rm_obj(self, obj_id: Id, force: bool = False) -> None:
        self._gone.append(obj_id)

    def set_obj(self, obj: Any) -> None:
        self.ask("keep", parcel(obj))

    def register_obj(self, obj: Any, obj_id: Any = None) -> None:
        """The tensors of `data` stay on this side, as in 0.2.4."""
        if not self.is_client_worker:
            ObjectStorage.set_obj(self, obj)

    def found(self, query: Any, owner: Any) -> List[Any]:
        return [
            POINTERS[kind](self, obj_id, owner, None, False, tags=tags, description=text, **shape).wrap()
            for kind, obj_id, tags, text, shape in self.ask("search", query)
        ]

    def search(self, query: Any) -> List[Any]:
        """Pointers to the objects that the server finds."""
        return self.found(query, local_worker())

    # The interface that scripts use.

    def list_objects_remote(self) -> str:
        return self.ask("list_objects")

    def objects_count_remote(self) -> int:
        return self.ask("objects_count")

    def clear_objects_remote(self) -> None:
        self.ask("clear_objects")

    def fit(self, dataset_key: str, device: str = "cpu", **_: Any) -> Any:
        """Train at the server with the TrainConfig that was sent; returns the loss of the last step."""
        return self._loss(self.ask("fit", dataset_key))

    def _loss(self, content: Any) -> Any:
        return None if content is None else opened(content, local_worker())

    def evaluate(
        self,
        dataset_key: str,
        return_histograms: bool = False,
        nr_bins: int = -1,
        return_loss: bool = True,
        return_raw_accuracy: bool = True,
        device: str = "cpu",
    ) -> Dict[str, Any]:
        return self.ask(
            "evaluate", dataset_key, return_histograms, nr_bins, return_loss, return_raw_accuracy, device
        )

    def add_dataset(self, dataset: Any, key: str) -> None:
        raise refusal(f"{type(self).__name__}.add_dataset", AT_THE_SERVER)

    def remove_dataset(self, key: str) -> None:
        raise refusal(f"{type(self).__name__}.remove_dataset", AT_THE_SERVER)


def _mapped(value: Any, of: type, change: Callable) -> Any:
    """Apply a function to each object of a class in a nested value."""
    if isinstance(value, of):
        return change(value)
    if type(value) in (list, tuple) or is_named(value):
        return type(value)([_mapped(one, of, change) for one in value])
    if type(value) is dict:
        return {key: _mapped(one, of, change) for key, one in value.items()}
    return value


def _error(name: str, text: str) -> Exception:
    """Rebuild an error that the server raised."""
    if name == NotSent.__name__:
        return NotSent(text)
    known = getattr(exceptions, name, None) or getattr(builtins, name, None)
    if not (isinstance(known, type) and issubclass(known, Exception)):
        return RuntimeError(f"{name}: {text}")
    error = known.__new__(known)
    error.args = (text,)
    return error
