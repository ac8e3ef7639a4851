"""The local worker."""

from typing import Any, List

_local: List[Any] = []


def local_worker() -> Any:
    """The local worker, "me"; None before the first TorchHook."""
    return _local[0] if _local else None


def set_local_worker(worker: Any) -> None:
    _local[:] = [worker]
