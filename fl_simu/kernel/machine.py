"""What a process is told of the machine before it computes: threads, and freed memory."""

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

# Numbers of parameters in glibc's malloc.h, and the largest int.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MOST = -1, -3, 2**31 - 1


# Where Linux tells how much processor time a container may use: of control groups version 2, and version 1.
QUOTA = Path("/sys/fs/cgroup/cpu.max")
OLD_QUOTA, OLD_PERIOD = (Path("/sys/fs/cgroup/cpu") / f"cpu.cfs_{name}_us" for name in ("quota", "period"))
# How many cores the user, or whoever runs several experiments side by side, grants to each of them.
LIMIT = "FL_SIMU_CORES"


def cores() -> int:
    """Number of cores that this process may use: those it is bound to, no more than its container may use, rounded
    up, and no more than the environment variable FL_SIMU_CORES says.

    Raises:
        UserError: it says no number of cores.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    bound = len(affinity(0)) if affinity else os.cpu_count() or 1
    given, quota = os.environ.get(LIMIT), _quota()
    if given is not None:
        require(given.isdigit() and int(given) > 0, LIMIT, given, "a number of cores, 1 or more")
    limits = [bound, int(given or bound), bound if quota is None else math.ceil(quota)]
    return max(1, min(limits))


def _quota() -> Optional[float]:
    """Cores that a container may use on average; None where it is not limited."""
    try:
        if QUOTA.exists():
            quota, period = QUOTA.read_text().split()
        else:
            quota, period = OLD_QUOTA.read_text(), OLD_PERIOD.read_text()
        return float(quota) / float(period) if float(quota) > 0 else None
    except (OSError, ValueError):
        # There is no such file, or it says "max".
        return None


def prepare(threads: int) -> None:
    """Set torch's number of threads, at least 1, and keep freed memory in the process."""
    torch.set_num_threads(threads)
    keep_freed_memory()


@contextlib.contextmanager
def older_objects_set_aside() -> Iterator[None]:
    """Let Python not look through what there is now for garbage: torch alone brings some 300,000 objects, and many
    UEs make it look often. What is made meanwhile is looked through as ever."""
    if gc.get_freeze_count():
        # Somebody did already.
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def keep_freed_memory() -> None:
    """Keep freed memory in the process, which then holds its peak until it ends.

    By default glibc hands every large block back to the system when it is freed. A convolution's outputs are such
    blocks: a training step asks for their pages again and again, and waits for the kernel to clear them. Elsewhere
    than on glibc the allocator stays as it is.

    Reference: glibc, mallopt(3).
    """
    if sys.platform.startswith("linux"):
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_MMAP_THRESHOLD, 2**30)
            mallopt(_TRIM_THRESHOLD, _MOST)
