"""Child process: does training steps for each line that it reads, and prints the milliseconds of one step.

It uses plain tensors, or pointers of PySyft 0.2: real 0.2.4 if installed, fl_simu.pointers elsewhere.
"""

import argparse
import json
import sys
import time
from typing import Any, Callable, Tuple

import torch
from torch import nn

from fl_simu.kernel.installation import syft_installed
from fl_simu.models import MnistCnn


def cnn(batch_size: int) -> Tuple[nn.Module, Any, Any, Callable]:
    """The notes' network, and a batch for it."""
    images, labels = torch.randn(batch_size, 1, 28, 28), torch.randint(10, (batch_size,))
    return MnistCnn().build((1, 28, 28), 10), images, labels, MnistCnn.loss


def linear(batch_size: int) -> Tuple[nn.Module, Any, Any, Callable]:
    """The notes' first model, and a batch for it."""
    points = torch.randn(batch_size, 2)
    return (
        nn.Linear(2, 1),
        points,
        points.sum(1, keepdim=True),
        lambda output, target: ((output - target) ** 2).sum(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("how", choices=["plain", "resident", "fetched"], help="fetched: sent and got each step")
    parser.add_argument("model", choices=["cnn", "linear"])
    parser.add_argument("batch_size", type=int)
    parser.add_argument("steps", type=int, help="for each line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    model, inputs, labels, loss_of = {"cnn": cnn, "linear": linear}[options.model](options.batch_size)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4)
    away: Any = model
    worker: Any = None
    if options.how != "plain":
        if syft_installed():
            import syft
        else:
            import fl_simu.pointers as syft
        worker = syft.VirtualWorker(syft.TorchHook(torch), id="worker")
        inputs, labels = inputs.send(worker), labels.send(worker)
    if options.how == "resident":
        away.send(worker)

    def step() -> None:
        if options.how == "fetched":
            away.send(worker)
        optimizer.zero_grad()
        loss = loss_of(model(inputs), labels)
        loss.backward()
        optimizer.step()
        if options.how == "fetched":
            away.get()

    for _ in sys.stdin:
        began = time.perf_counter()
        for _ in range(options.steps):
            step()
        print(json.dumps({"ms": 1e3 * (time.perf_counter() - began) / options.steps}), flush=True)


if __name__ == "__main__":
    main()
