"""PrivateGridNetwork: a search across several workers of this process."""

from typing import Any, Dict, List

from fl_simu.pointers.local import local_worker


class PrivateGridNetwork:
    """Workers that are searched together.

    Args:
        workers: VirtualWorkers.
    """

    SMPC_HOST_CHUNK = 4

    def __init__(self, *workers: Any) -> None:
        self.workers = list(workers)

    def search(self, *query: str) -> Dict[Any, List[Any]]:
        """Pointers to the objects with all these tags, by worker id; workers without any are left out."""
        here = local_worker()
        found = {worker.id: here.request_search(query, location=worker) for worker in self.workers}
        return {worker: pointers for worker, pointers in found.items() if pointers}

    def _hosting(self, *_: Any, **__: Any) -> Any:
        """Not available with VirtualWorkers; 0.2.4 refuses it too."""
        raise NotImplementedError(
            "serving models needs grid nodes, servers of their own, which fl_simu.pointers does not cover; "
            "in one process, model.send(worker) and model(data) at that worker do the same"
        )

    serve_model = run_remote_inference = query_model_hosts = _hosting
