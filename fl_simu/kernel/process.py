"""Restore the state of a process."""

import contextlib
import os
from typing import Any, Iterator, Tuple

import torch


@contextlib.contextmanager
def process_kept() -> Iterator[None]:
    """Restore torch's threads, switches and random state, and the environment, at the end."""
    threads, environment, random = torch.get_num_threads(), dict(os.environ), torch.get_rng_state()
    switches = [(part, name, getattr(part, name)) for part, name in _switches() if hasattr(part, name)]
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(random)
        for part, name, value in switches:
            setattr(part, name, value)
        if dict(os.environ) != environment:
            os.environ.clear()
            os.environ.update(environment)


def _switches() -> Tuple[Tuple[Any, str], ...]:
    cudnn, cuda = torch.backends.cudnn, getattr(torch.backends, "cuda", None)
    matmul = getattr(cuda, "matmul", None)
    return ((cudnn, "allow_tf32"), (cudnn, "deterministic"), (cudnn, "benchmark"), (matmul, "allow_tf32"))
