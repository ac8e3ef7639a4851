"""Settings of a process before it computes: number of threads, freed memory, garbage collection."""

import contextlib
import ctypes
import gc
import math
import os
import sys
from pathlib import Path
from typing import Iterator, Optional

import torch

from fl_simu.kernel.errors import require

# Parameter numbers from glibc's malloc.h, and the largest int.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MOST = -1, -3, 2**31 - 1


# The files in which Linux states the CPU quota of a container, for cgroup version 2 and version 1.
QUOTA = Path("/sys/fs/cgroup/cpu.max")
OLD_QUOTA, OLD_PERIOD = (Path("/sys/fs/cgroup/cpu") / f"cpu.cfs_{name}_us" for name in ("quota", "period"))
# The number of cores that the user, or a launcher of several experiments at once, grants to each experiment.
LIMIT = "FL_SIMU_CORES"


def cores() -> int:
    """Number of cores that this process may use: its CPU affinity, limited by the container's quota, rounded up,
    and by the environment variable FL_SIMU_CORES.

    Raises:
        UserError: FL_SIMU_CORES is not a number of cores.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    bound = len(affinity(0)) if affinity else os.cpu_count() or 1
    given, quota = os.environ.get(LIMIT), _quota()
    if given is not None:
        require(given.isdigit() and int(given) > 0, LIMIT, given, "a number of cores, 1 or more")
    limits = [bound, int(given or bound), bound if quota is None else math.ceil(quota)]
    return max(1, min(limits))


def _quota() -> Optional[float]:
    """Cores that a container may use on average; None without a limit."""
    try:
        if QUOTA.exists():
            quota, period = QUOTA.read_text().split()
        else:
            quota, period = OLD_QUOTA.read_text(), OLD_PERIOD.read_text()
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError):
        # The file is missing, or its limit is "max".
        return None


def prepare(threads: int) -> None:
    """Set torch's number of threads, at least 1, and keep freed memory in the process."""
    torch.set_num_threads(threads)
    keep_freed_memory()


@contextlib.contextmanager
def older_objects_set_aside() -> Iterator[None]:
    """Exclude all existing objects from garbage collection: torch alone creates some 300,000 objects, and many UEs
    trigger frequent collections. Objects that are created inside are collected as usual."""
    if gc.get_freeze_count():
        # The objects are already frozen.
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def keep_freed_memory() -> None:
    """Keep freed memory in the process, which then keeps its peak memory until it ends.

    By default glibc returns every large block to the system when it is freed. The outputs of convolutions are such
    blocks, so a training step requests their pages again and again and waits until the kernel has cleared them. On
    systems without glibc the allocator is not changed.

    Reference: glibc, mallopt(3).
    """
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, 2**30)
            mallopt(_TRIM_THRESHOLD, _MOST)
