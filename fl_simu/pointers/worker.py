"""Workers: each stores objects by id, and has an id by which the others know it."""

import copy
import logging
from collections import defaultdict
from contextlib import contextmanager
from typing import Any, Callable, ClassVar, Dict, Iterable, Iterator, List, Optional, Set, Union

import torch

from fl_simu.pointers.client import FederatedClient
from fl_simu.pointers.exceptions import ObjectNotFoundError, WorkerNotFoundException
from fl_simu.pointers.ids import label_of
from fl_simu.pointers.travel import copied

logger = logging.getLogger(__name__)
Id = Union[int, str]


class ObjectStorage:
    """Objects by id, and the ids of the objects with a tag."""

    def __init__(self) -> None:
        self._objects: Dict[Id, Any] = {}
        self._tag_to_object_ids: Dict[str, Set[Id]] = defaultdict(set)

    def get_obj(self, obj_id: Id) -> Any:
        try:
            return self._objects[obj_id]
        except KeyError:
            raise ObjectNotFoundError(obj_id, self) from None

    def set_obj(self, obj: Any) -> None:
        self._objects[obj.id] = obj
        for tag in obj.tags or ():
            self._tag_to_object_ids[tag].add(obj.id)

    def held(self, obj_id: Id, path: Iterable[str] = ()) -> Any:
        """An object, or the attribute of it at the end of a path."""
        found = self.get_obj(obj_id)
        for name in path:
            found = getattr(found, name)
        return found

    def put(self, obj_id: Id, obj: Any) -> None:
        """Store an object that was made here; its label is not registered."""
        self._objects[obj_id] = obj

    def rm_obj(self, obj_id: Id, force: bool = False) -> None:
        self._objects.pop(obj_id, None)

    def force_rm_obj(self, obj_id: Id) -> None:
        self.rm_obj(obj_id)

    def clear_objects(self, return_self: bool = True) -> Optional["ObjectStorage"]:
        self._objects.clear()
        return self if return_self else None

    def current_objects(self) -> Dict[Id, Any]:
        return self._objects.copy()

    def find_by_id(self, obj_id: Id) -> Any:
        return self._objects.get(obj_id)

    def find_by_tag(self, tag: str) -> List[Any]:
        found = (self._objects.get(obj_id) for obj_id in self._tag_to_object_ids.get(tag, ()))
        return [obj for obj in found if obj is not None]


class VirtualWorker(FederatedClient, ObjectStorage):
    """A worker that lives in this process.

    Args:
        hook: the TorchHook; its local worker introduces the new worker to all others.
        id: a second worker with the same id shares the state of the first.
        data: tensors that the worker registers.
        is_client_worker: the worker keeps no objects; the local worker is such a client.
        auto_add: introduce the worker to the others.

    The other arguments are accepted, but have no effect: there are no messages.
    """

    # Whether its objects are in another process.
    is_far = False

    def __init__(
        self,
        hook: Any = None,
        id: Id = 0,
        data: Optional[Iterable[Any]] = None,
        is_client_worker: bool = False,
        log_msgs: bool = False,
        verbose: bool = False,
        auto_add: bool = True,
        message_pending_time: float = 0,
    ) -> None:
        super().__init__()
        self.hook, self.id, self.is_client_worker = hook, id, is_client_worker
        self.log_msgs, self.verbose, self.auto_add = log_msgs, verbose, auto_add
        self.message_pending_time = message_pending_time
        self.framework = self.torch = getattr(hook, "torch", None)
        self._known_workers: Dict[Id, VirtualWorker] = {}
        self.load_data(data)
        local: Any = getattr(hook, "local_worker", None)
        if auto_add and local is None:
            self.add_worker(self)
        elif auto_add and self.id in local._known_workers:
            self.__dict__.update(local._known_workers[self.id].__dict__)
        elif auto_add:
            self._introduce(local)

    def _introduce(self, local: "VirtualWorker") -> None:
        local.add_worker(self)
        for worker in list(local._known_workers.values()):
            self._known_workers.setdefault(worker.id, worker)
            worker._known_workers.setdefault(self.id, self)

    def __str__(self) -> str:
        return f"<{type(self).__name__} id:{self.id} #objects:{len(self._objects)}>"

    __repr__ = __str__

    def __getitem__(self, obj_id: Id) -> Any:
        return self._objects.get(obj_id)

    def __deepcopy__(self, memo: Any) -> "VirtualWorker":
        return self

    def load_data(self, data: Optional[Iterable[Any]]) -> None:
        """Register these tensors."""
        for tensor in data or ():
            self.register_obj(tensor)
            tensor.owner = self

    @contextmanager
    def registration_enabled(self) -> Iterator["VirtualWorker"]:
        """Keep objects for the time of a `with` block, as a worker that is not a client does."""
        self.is_client_worker = False
        try:
            yield self
        finally:
            self.is_client_worker = True

    def register_obj(self, obj: Any, obj_id: Optional[Id] = None) -> None:
        if self.is_client_worker:
            return
        if obj_id is not None:
            obj.id = obj_id
        self.set_obj(obj)

    def de_register_obj(self, obj: Any, _recurse_torch_objs: bool = True) -> None:
        if not self.is_client_worker:
            self.rm_obj(obj.id)

    def keep(self, tensor: Any, obj_id: Id) -> None:
        """Store an object from elsewhere, with its own label."""
        label = label_of(tensor)
        label.id, label.owner = obj_id, self
        self._objects[obj_id] = tensor
        for tag in label.tags or ():
            self._tag_to_object_ids[tag].add(obj_id)

    def done(self, func: Callable, args: List[Any], kwargs: Dict[str, Any]) -> Any:
        """The result of a function of torch on objects of this worker."""
        return func(*args, **kwargs)

    def send(self, obj: Any, workers: Any, **arguments: Any) -> Any:
        """Send an object to a worker; returns the bare pointer, like 0.2.4's workers."""
        pointer = obj.send(self.get_worker(workers), **arguments)
        return getattr(pointer, "child", pointer)

    def send_obj(self, obj: Any, location: "VirtualWorker") -> None:
        """Give a worker a copy of an object under the same id, without a pointer to it."""
        if isinstance(obj, torch.Tensor):
            location.keep(copied(obj), label_of(obj).id)
        else:
            location.set_obj(copy.deepcopy(obj))

    def request_obj(self, obj_id: Id, location: "VirtualWorker", user: Any = None, reason: str = "") -> Any:
        obj = location.get_obj(obj_id)
        location.rm_obj(obj_id)
        return obj

    def search(self, query: Union[List[Id], Id]) -> List[Any]:
        """Objects here that have an id or all tags of the query; for an empty query, all tagged ones."""
        if isinstance(query, (str, int)):
            query = [query]
        if not query:
            tagged = {obj_id for ids in self._tag_to_object_ids.values() for obj_id in ids}
            return [self._objects[obj_id] for obj_id in tagged if obj_id in self._objects]
        for item in query:
            if item in self._objects:
                return [self._objects[item]]
        ids = set.intersection(*({*self._tag_to_object_ids.get(str(tag), ())} for tag in query))
        return [self._objects[obj_id] for obj_id in ids if obj_id in self._objects]

    def request_search(self, query: Union[List[Id], Id], location: "VirtualWorker") -> List[Any]:
        """Pointers to the objects that `location` finds; deleting the pointers does not delete the objects."""
        return location.found(query, self)

    def found(self, query: Union[List[Id], Id], owner: "VirtualWorker") -> List[Any]:
        """Pointers, with `owner` as their owner, to the objects found here."""
        return [
            obj.create_pointer(location=self, owner=owner, garbage_collect_data=False).wrap()
            for obj in self.search(query)
        ]

    def find_or_request(self, tag: str, location: "VirtualWorker") -> List[Any]:
        return self.find_by_tag(tag) or self.request_search(tag, location)

    def get_worker(self, id_or_worker: Any, fail_hard: bool = False) -> Any:
        """The worker with an id. A worker itself is returned, and known from now on."""
        if isinstance(id_or_worker, (str, int)):
            if id_or_worker == self.id:
                return self
            if id_or_worker not in self._known_workers:
                if fail_hard:
                    raise WorkerNotFoundException
                logger.warning("Worker %s couldn't recognize worker %s", self.id, id_or_worker)
            return self._known_workers.get(id_or_worker, id_or_worker)
        self._known_workers.setdefault(id_or_worker.id, id_or_worker)
        return id_or_worker

    def add_worker(self, worker: "VirtualWorker") -> "VirtualWorker":
        if worker.id in self._known_workers:
            logger.warning("Worker %s already exists. Replacing old worker", worker.id)
        self._known_workers[worker.id] = worker
        return self

    def add_workers(self, workers: Iterable["VirtualWorker"]) -> "VirtualWorker":
        for worker in workers:
            self.add_worker(worker)
        return self

    def remove_worker_from_registry(self, worker_id: Id) -> None:
        del self._known_workers[worker_id]

    def remove_worker_from_local_worker_registry(self) -> None:
        self.hook.local_worker.remove_worker_from_registry(self.id)

    @property
    def remote(self) -> "Remote":
        return Remote(self)


class Remote:
    """`worker.remote.torch.zeros(2)` and similar calls: tensors created at the worker."""

    METHODS = ("tensor", "rand", "zeros", "randn", "randint")
    # This class by framework name; only torch has one.
    frameworks: ClassVar[Dict[str, Any]] = {}

    def __init__(self, worker: VirtualWorker) -> None:
        self._worker = worker
        self.torch = self

    def __getattr__(self, name: str) -> Any:
        if name not in self.METHODS:
            raise AttributeError(name)
        make = getattr(self._worker.torch, f"native_{name}")
        return lambda *args, **kwargs: make(*args, **kwargs).send(self._worker)


Remote.frameworks["torch"] = Remote
