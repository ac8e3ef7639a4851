"""`Far`: the local proxy of an object that a worker in another process holds."""

from typing import Any, Tuple

from fl_simu.pointers.refusals import refusal

INSTEAD = "at a worker of another process it is not done; get() the object first, or take a VirtualWorker"


class Far:
    """An object of a worker in another process, or an attribute of it.

    Args:
        worker: the RemoteWorker through which it is reached.
        id: the object's id there.
        path: names of attributes, such as ("grad",) or ("grad", "data").
        known_shape: the shape of a tensor, if it is already known.
    """

    def __init__(self, worker: Any, id: Any, path: Tuple[str, ...] = (), known_shape: Any = None) -> None:
        vars(self).update(worker=worker, id=id, path=path, known_shape=known_shape)

    def __getattr__(self, name: str) -> Any:
        if name not in ("shape", "grad", "data", "dtype", "device", "requires_grad", "targets"):
            if name.startswith("__"):
                raise AttributeError(name)
            raise refusal(f"{name} of an object at {self.worker.id}", INSTEAD)
        return self.worker.asked_of(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ("grad", "data"):
            raise refusal(f"setting {name} of an object at {self.worker.id}", INSTEAD)
        self.worker.ask("assign", self, name, value)

    def __len__(self) -> int:
        return self.worker.ask("length", self)

    def __getitem__(self, index: Any) -> Any:
        return self.worker.ask("item", self, index)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.worker.get_obj(self.id).__reduce_ex__(protocol)
