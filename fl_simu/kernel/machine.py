"""What a process is told of the machine before it computes: threads, and freed memory."""

import ctypes
import sys

import torch

# Numbers of parameters in glibc's malloc.h, and the largest int.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MOST = -1, -3, 2**31 - 1


def prepare(threads: int) -> None:
    """Set torch's number of threads, at least 1, and keep freed memory in the process."""
    torch.set_num_threads(threads)
    keep_freed_memory()


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
