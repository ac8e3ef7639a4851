"""Ray: long-lived actors, in processes of this machine or of a cluster, train the UEs.

The training set is put into the object store once, each global model once per broadcast, and each node has one
copy of them. A job carries the UE's indices and its optimiser's memory, so nothing is lost with an actor. This is
the only file that imports ray, and only when UEs are placed.
"""

import contextlib
import logging
import os
import secrets
import shutil
import socket
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from fl_simu.backends.actor import Actor, RowsErrand
from fl_simu.backends.base import BackendSpec
from fl_simu.backends.ray_leftovers import PREFIX, remove_dead
from fl_simu.backends.side_by_side import Broadcast, Hand, Lost, SideBySide, bytes_of, errand, last_line, unpacked
from fl_simu.backends.work_queue import Job, WorkQueue
from fl_simu.kernel.ending import handlers_kept
from fl_simu.kernel.errors import BadField, UserError, one_line, require
from fl_simu.kernel.limits import MOST
from fl_simu.kernel.packages import install_command, installed
from fl_simu.results.files import alone_in
from fl_simu.ue.training import LocalTraining, Shard, Task

LOCAL, AUTO = "", "auto"
CONNECT_S = 5.0
# Ray refuses an object store smaller than 75 MiB; the rest is for results in transit.
STORE_BYTES = 2**27


@dataclass(frozen=True)
class Ray(BackendSpec):
    """Single-threaded Ray actors train the UEs in parallel, on one machine or on a cluster.

    It needs the package `ray`, which the locked requirements include; `python -m fl_simu doctor` prints the
    command that installs it. The weights equal those of `torch` with the same `exact` and `threads = 1`, bit for
    bit, for any number of actors and any order of completion. On other machines of a cluster this holds as far as
    their processors round in the same way.

    Each node of a cluster needs the same Python, torch, Ray and fl_simu. Each node receives the training set once,
    and the global model once per broadcast; a UE's optimiser travels with its task. All UEs of a broadcast begin
    to train at once, including those whose upload will be late. `threads` applies to evaluation and aggregation
    only.

    This process holds trained models until they are fetched: at most 256 MiB, or two models per actor if that is
    more. While this space is full, no other UE begins. When an actor is killed, the run prints a line and trains
    the actor's UEs again. If three actors are lost over the same UEs, the run ends with an error.

    If a cluster asks for a token, it is taken from `RAY_AUTH_MODE` and `RAY_AUTH_TOKEN`, as in Ray's own clients.
    A process that has called `ray.init` itself needs no address: the backend uses that Ray and leaves it running.

    Args:
        actors: number of processes; 0 means as many as Ray sees cores. At most the number of cores of a Ray that
            already runs.
        address: address of a Ray cluster to join, "<host>:<port>", of which this machine must be a node, or "auto"
            for the cluster that it belongs to. If empty, the run starts its own Ray, which ends with the run and
            listens on the loopback interface only. The address is accepted only on the command line (`--address
            A`, or `--set`). A file with an address is refused, since a machine that joins a cluster computes
            whatever the cluster says.
        exact: as for `torch`.
    """

    actors: int = 0
    address: str = LOCAL
    exact: bool = False

    def __post_init__(self) -> None:
        require(0 <= self.actors <= MOST, "actors", self.actors, f"0 or more, at most {MOST}")
        host, _, port = self.address.rpartition(":")
        known = self.address in (LOCAL, AUTO) or ("/" not in host and host and port.isdigit())
        require(bool(known), "address", self.address, '"", "auto" or "<host>:<port>"')

    def anywhere(self) -> "Ray":
        return replace(self, address=LOCAL)

    @property
    def fast(self) -> bool:
        return not self.exact

    @classmethod
    def missing(cls) -> str:
        return "" if installed("ray") else f"ray is not installed: `{install_command('ray')}`"

    def build(self, training: LocalTraining) -> "RayActors":
        if self.missing():
            raise UserError(f"backend = 'ray' is not allowed here: {self.missing()}")
        if self.address not in (LOCAL, AUTO):
            _require_answer(self.address)
        return RayActors(training, self)


def _require_answer(address: str) -> None:
    """Check that the address answers; Ray itself would try for a minute."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise BadField("address", address, f"no Ray cluster answers there ({error})") from None


class RayActors(SideBySide):
    """Ray actors train the UEs.

    Args:
        training: the local training of every UE in a round.
        spec: the number of actors, and where they run.
    """

    def __init__(self, training: LocalTraining, spec: Ray) -> None:
        super().__init__(training)
        self._spec = spec
        self._cluster: Optional[Cluster] = None
        self._arrays: List[Tuple[Any, Any]] = []
        self._numbers: Dict[Tuple[int, int], int] = {}

    def place(self, ue: int, shard: Shard) -> None:
        # The actors start up while this process continues.
        cluster = self._cluster or self._join(shard)
        arrays = id(shard.images), id(shard.labels)
        if arrays not in self._numbers:
            self._arrays.append((cluster.put(_array(shard.images)), cluster.put(_array(shard.labels))))
            self._numbers[arrays] = len(self._arrays) - 1
        super().place(ue, shard)

    def open(self) -> None:
        """Nothing to do: `place` started the actors with the first UE."""

    def content(self, task: Task) -> RowsErrand:
        shard = self._shards[task.key.ue]
        number = self._numbers[id(shard.images), id(shard.labels)]
        return RowsErrand(task.key, errand(task), number, _array(shard.indices))

    def shared(self, sent: Broadcast) -> Any:
        """The broadcast in the object store, where it is put once for any number of UEs."""
        assert self._cluster is not None
        return self._cluster.put(sent)

    def close(self) -> None:
        super().close()
        self._arrays.clear()
        self._numbers.clear()
        if self._cluster:
            self._cluster.close()
            self._cluster = None

    def _join(self, shard: Shard) -> "Cluster":
        """Find or start Ray, and start the actors."""
        model, data = self.model_bytes(), sum(map(bytes_of, (shard.images, shard.labels)))
        wanted = self._spec.actors or os.cpu_count() or 1
        store_bytes = STORE_BYTES + 2 * data + (8 + 4 * wanted) * model
        self._cluster = cluster = Cluster(self._spec.address, self._spec.actors, store_bytes)
        actors = self._spec.actors or cluster.cores
        allowed = f"the Ray that runs here has {cluster.cores} cores"
        require(actors <= cluster.cores, "backend.actors", actors, allowed)
        self.employ(actors, lambda queue: _Hand(cluster, self.training, self._arrays, queue))
        return cluster


def _array(tensor: Tensor) -> np.ndarray:
    return np.ascontiguousarray(tensor.numpy())


class Cluster:
    """A Ray that this process already uses, joins, or starts until `close`.

    Args:
        address: as in `Ray`.
        cores: number of cores of a Ray that is started; 0 for all that it sees.
        store_bytes: size of its object store.

    Raises:
        UserError: it cannot be joined or started.
    """

    def __init__(self, address: str, cores: int, store_bytes: int) -> None:
        self._folder: Optional[str] = None
        self._held = contextlib.ExitStack()
        self._leave: Optional[Callable[[], None]] = None
        self.ray = _import_ray(alone=not address)
        if not self.ray.is_initialized():
            self._leave = self.ray.shutdown
            quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
            try:
                # Ray's own handler of SIGTERM ends the process at once.
                with handlers_kept():
                    if address:
                        self.ray.init(address, **quiet)
                    else:
                        self._start(cores, store_bytes, quiet)
            except Exception as error:
                self.close()
                what = f"{address!r} cannot be joined" if address else "cannot be started"
                raise UserError(f"backend ray: Ray {what}: {last_line(error)}") from error
        self.cores = int(self.ray.cluster_resources().get("CPU", 0))

    def _start(self, cores: int, store_bytes: int, quiet: Dict[str, Any]) -> None:
        # The path of a socket may have 107 characters, and Ray appends about 70.
        short = "/tmp" if os.path.isdir("/tmp") else None
        remove_dead(Path(short or tempfile.gettempdir()))
        self._folder = tempfile.mkdtemp(prefix=PREFIX, dir=short)
        self._held.enter_context(alone_in(self._folder))
        self.ray.init(
            "local",
            num_cpus=cores or None,
            object_store_memory=store_bytes,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            # Ray lets everybody write into its folder; only this user can access the folder around it.
            _temp_dir=os.path.join(self._folder, "r"),
            **quiet,
        )

    def put(self, value: Any) -> Any:
        errors = self.ray.exceptions
        try:
            return self.ray.put(value)
        except (errors.ObjectStoreFullError, errors.OutOfDiskError) as error:
            why = one_line(str(error).strip().splitlines()[0])
            raise UserError(
                f"backend ray: its object store has no room: {why}: backend processes needs none, fewer "
                "training samples or a smaller model need less"
            ) from error

    def close(self) -> None:
        if self._leave:
            self._leave()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._held.close()


def _import_ray(alone: bool) -> Any:
    """Import ray.

    Args:
        alone: whether this process starts its own Ray. Ray reads the environment when it is imported.
    """
    if alone:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # With clusters off, Ray listens only on the loopback interface; Linux has no other switch for this.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        # The token that others on this machine would need. Without it, newer Rays write one to the home folder.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        import ray
    except ImportError as error:
        raise UserError(f"backend = 'ray' is not allowed here: ray cannot be imported ({error})") from error
    return ray


class _Hand(Hand):
    """Hands an actor its calls."""

    def __init__(
        self, cluster: Cluster, training: LocalTraining, arrays: List[Tuple[Any, Any]], queue: WorkQueue
    ) -> None:
        super().__init__(queue, "ray", "an actor")
        self._ray = cluster.ray
        self._training = training
        self._arrays = arrays
        self._actor: Any = None
        self._held = 0

    def let_go(self) -> None:
        if self._actor is not None:
            self._ray.kill(self._actor, no_restart=True)

    def start_worker(self) -> None:
        remote = self._ray.remote(Actor).options(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")
        self._actor, self._held = remote.remote(self._training, torch.__version__), 0
        self._ray.get(self._actor.ready.remote())

    def send(self, call: Sequence[Job]) -> List[Any]:
        """Send a call, after the arrays that the actor has not received yet."""
        answers = [self._actor.hold.remote(*references) for references in self._arrays[self._held :]]
        self._held += len(answers)
        answers.append(self._actor.train.remote(call[0].shared, [job.content for job in call]))
        return answers

    def answer(self, sent: List[Any]) -> Tuple[List[Any], float]:
        errors = self._ray.exceptions
        no_room = errors.ObjectStoreFullError, errors.OutOfDiskError
        try:
            trained, seconds = self._ray.get(sent)[-1]
            return [unpacked(*one) for one in trained], seconds
        except errors.RayTaskError as error:
            cause = getattr(error, "cause", None) or error
            # For example, the object store has no room for an actor's trained models.
            raise Lost(last_line(cause)) if isinstance(cause, no_room) else cause from None
        except errors.RayError as error:
            raise Lost(last_line(error)) from error
