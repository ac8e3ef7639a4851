"""Child process: the peak rates of this processor, as JSON; and the operations that a job needs."""

import json
import math
import platform
import time
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from benchmarks.peers.jobs import Job

SIZE, SECONDS = 2048, 1.5


def sgemm_gflops(threads: int, size: int = SIZE, seconds: float = SECONDS) -> float:
    """The highest rate of a product of two square matrices by torch.mm, in 10^9 float32 operations per second."""
    torch.set_num_threads(threads)
    left, right, out = (torch.rand(size, size) for _ in range(3))
    best, ends = math.inf, time.perf_counter() + seconds
    while time.perf_counter() < ends or best == math.inf:
        began = time.perf_counter()
        torch.mm(left, right, out=out)
        best = min(best, time.perf_counter() - began)
    return 2e-9 * size**3 / best


def memory_gbps(megabytes: int = 128, seconds: float = SECONDS) -> float:
    """The highest rate at which one core reads and writes in a copy of a large array, in 10^9 bytes per second."""
    torch.set_num_threads(1)
    source = torch.zeros(megabytes * 2**20, dtype=torch.uint8)
    there, best, ends = torch.zeros_like(source), math.inf, time.perf_counter() + seconds
    while time.perf_counter() < ends or best == math.inf:
        began = time.perf_counter()
        there.copy_(source)
        best = min(best, time.perf_counter() - began)
    return 2e-9 * source.numel() / best


def gbytes_of_round(job: Job) -> float:
    """10^9 bytes that a round of a one-layer dense model moves, trained as a stack by operators of torch.

    For each UE, the model is written once and read again for the mean. Each step reads it for the outputs, writes
    a gradient, and reads both and writes the model in SGD. Each image is copied into its batch, which reads and
    writes it, and read twice, for the outputs and for the gradient. All are float32.
    """
    module = job.module()
    (layer,) = (one for one in module.modules() if isinstance(one, nn.Linear))
    steps = math.ceil(job.samples / job.batch_size)
    model = sum(parameter.numel() for parameter in layer.parameters())
    return 4e-9 * job.drawn * (model * (2 + 5 * steps) + 4 * job.samples * int(np.prod(job.shape)))


def gflop_of_round(job: Job) -> float:
    """10^9 float32 operations of a round's convolutions and dense layers, forward and backward.

    A layer with M multiplications and additions per sample costs 2 M forward, 2 M for the gradient of its weights,
    and 2 M for that of its input, which the first layer does not need.
    """
    counted: List[int] = []

    def count(module: Any, inputs: Any, output: Tensor) -> None:
        counted.append(2 * module.weight[0].numel() * output[0].numel())

    module = job.module().eval()
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            layer.register_forward_hook(count)
    with torch.no_grad():
        module(torch.zeros(1, *job.shape))
    return 1e-9 * (3 * sum(counted) - counted[0]) * job.drawn * job.samples


def describe() -> Dict[str, Any]:
    """Processor, cores, memory and system of this machine."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in _lines(info) if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": cores(),
        "memory_gb": psutil.virtual_memory().total / 1e9,
        "system": platform.system(),
        "python": platform.python_version(),
        "vector": torch.backends.cpu.get_cpu_capability() if hasattr(torch.backends, "cpu") else "",
    }


def cores() -> int:
    """Number of cores that this process may use."""
    return len(psutil.Process().cpu_affinity()) if hasattr(psutil.Process, "cpu_affinity") else psutil.cpu_count()


def _lines(path: Path) -> List[str]:
    return path.read_text().splitlines() if path.exists() else []


def main() -> None:
    one = sgemm_gflops(1)
    peaks = {"sgemm_gflops": one, "sgemm_gflops_all": sgemm_gflops(cores()), "memory_gbps": memory_gbps()}
    print(json.dumps(peaks))


if __name__ == "__main__":
    main()
