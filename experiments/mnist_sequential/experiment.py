"""The notes' first MNIST example: one model visits two workers, batch by batch, through sy.FederatedDataLoader.

The code is the notes' own on real PySyft 0.2.4, with a seed, and with the images from `fl_simu.data.datasets`. The
same training without syft gives the same weights bit for bit. It runs with several seeds to show their spread.

Reference: notes, PySyft basics, the example on MNIST, after OpenMined's tutorial part 6.
"""

import math
import sys
import time
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any, Callable, List, Mapping, Tuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from fl_simu.data.datasets import Dataset, Mnist
from fl_simu.kernel.parameters import Params, params_of, sha256
from fl_simu.models import MnistCnn
from fl_simu.results.comparisons import Comparison
from fl_simu.results.figures import new_figure, write_figures
from fl_simu.results.marks import COLOURS
from fl_simu.station.evaluation import Evaluation, Exam
from fl_simu.studies.script import Setup

NEEDS_SYFT = True

LR = 0.01
BATCH_SIZE = 64
LOG_INTERVAL = 10
SEED = 1
SEEDS = (1, 2, 3, 4, 5)


@dataclass(frozen=True)
class Epoch:
    """The results of an epoch.

    Args:
        accuracy: on the test images, 0 to 1.
        loss: mean over the test images.
        progress: the last line of progress: "<samples>/<length of the loader>".
        percent: the same in percent, as printed.
        batch_loss: the loss in that line, of one batch.
        ids: number of ids that syft remembers.
        peak_memory_mb: peak memory of the process so far.
    """

    accuracy: float
    loss: float
    progress: str
    percent: str
    batch_loss: float
    ids: int
    peak_memory_mb: float


def reproduce(setup: Setup) -> List[Comparison]:
    """Train at the notes' size, or for one epoch on 4,000 images with two seeds, and compare."""
    torch.set_num_threads(1)
    part, count, seeds = (Mnist(4000, 1000), 1, SEEDS[:2]) if setup.quick else (Mnist(), 10, SEEDS)
    data = part.load(setup.data_dir)
    # This runs before syft hooks torch, because the hook slows torch for the rest of the process.
    start = time.time()
    plain = {seed: learn_without_syft(data, count, seed) for seed in seeds}
    for seed, (last, _) in plain.items():
        setup.say(f"without syft, seed {seed}: average loss {last.loss:.4f}, accuracy {last.accuracy:.2%}")
    setup.say(f"{time.time() - start:.0f} s")
    start = time.time()
    epochs, params = learn(data, count, setup.say)
    setup.say(f"{time.time() - start:.0f} s")
    write_figures(setup.out / "figures", {"epochs.png": figure(epochs, notes=not setup.quick)})
    return comparisons(epochs[-1], setup.quick) + spread(params, plain)


def learn(data: Dataset, epochs: int, say: Callable[[str], None]) -> Tuple[List[Epoch], Params]:
    """Train as the notes do. Returns the results of each epoch, and the final model."""
    import syft as sy

    hook = sy.TorchHook(torch)
    qin = sy.VirtualWorker(hook=hook, id="qin")
    zheng = sy.VirtualWorker(hook=hook, id="zheng")
    torch.manual_seed(SEED)
    train_set = sy.BaseDataset(data.train.images, data.train.labels)
    train_loader = sy.FederatedDataLoader(train_set.federate((qin, zheng)), batch_size=BATCH_SIZE, shuffle=True)
    test_loader = DataLoader(TensorDataset(data.test.images, data.test.labels), BATCH_SIZE, shuffle=True)

    model = MnistCnn().build((1, 28, 28), 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    found = []
    for number in range(1, epochs + 1):
        progress, percent, batch_loss = train(model, train_loader, optimizer, number, say)
        accuracy, loss = test(model, test_loader, say)
        ids, peak_mb = len(sy.ID_PROVIDER.generated), peak_memory_mb()
        found.append(Epoch(accuracy, loss, progress, percent, batch_loss, ids, peak_mb))
        say(f"ids that syft remembers: {ids}, peak memory {peak_mb:.0f} MB")
    return found, params_of(model)


def learn_without_syft(data: Dataset, epochs: int, seed: int) -> Tuple[Evaluation, Params]:
    """The same steps in the same order in plain torch: one half of the images after the other.

    One model, one optimiser, no worker, no averaging. Returns the results on the test images, and the model.
    """
    torch.manual_seed(seed)
    train_set = TensorDataset(data.train.images, data.train.labels)
    test_set = TensorDataset(data.test.images, data.test.labels)
    # `federate` also splits with a DataLoader, which draws from torch's generator. So does the shuffled test.
    halves = list(DataLoader(train_set, math.ceil(len(train_set) / 2)))
    model = MnistCnn().build((1, 28, 28), 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    for _ in range(epochs):
        for images, labels in halves:
            for rows in torch.randperm(len(labels)).split(BATCH_SIZE):
                optimizer.zero_grad()
                F.nll_loss(model(images.index_select(0, rows)), labels.index_select(0, rows)).backward()
                optimizer.step()
        next(iter(DataLoader(test_set, BATCH_SIZE, shuffle=True)))
    params = params_of(model)
    return Exam(model, MnistCnn.loss, data.test.images, data.test.labels).evaluate(params), params


def train(model: nn.Module, loader: Any, optimizer: Any, epoch: int, say: Callable[[str], None]) -> Any:
    """One epoch. The model is sent to the worker of each batch, makes one step there, and is fetched."""
    model.train()
    for index, (data, target) in enumerate(loader):
        model.send(data.location)
        optimizer.zero_grad()
        output = model(data)
        loss = F.nll_loss(output, target)
        loss.backward()
        optimizer.step()
        model.get()
        if index % LOG_INTERVAL == 0:
            batch_loss = loss.get().item()
            progress = f"{index * BATCH_SIZE}/{len(loader) * BATCH_SIZE}"
            percent = f"{100.0 * index / len(loader):.06f}"
            say(f"Train Epoch:{epoch}[{progress}({percent}%)]\tLoss:{batch_loss:.06f}")
    return progress, percent, batch_loss


def test(model: nn.Module, loader: Any, say: Callable[[str], None]) -> Tuple[float, float]:
    """Accuracy (0 to 1) and mean loss on the test images, which stay local."""
    model.eval()
    loss, correct, samples = 0.0, 0, len(loader.dataset)
    with torch.no_grad():
        for data, target in loader:
            output = model(data)
            loss += F.nll_loss(output, target, reduction="sum").item()
            correct += output.argmax(dim=1).eq(target).sum().item()
    loss /= samples
    say(f"Test set: Average loss: {loss:.4f}, Accuracy: {correct}/{samples} ({100.0 * correct / samples:.2f}%)")
    return correct / samples, loss


def comparisons(last: Epoch, quick: bool) -> List[Comparison]:
    """The notes' numbers next to ours; at the quick size, ours alone."""
    drawn = "the notes give neither the initial weights nor the order of the batches"
    smaller = "quick size: 4,000 images, one epoch" if quick else ""

    def row(what: str, notes: str, ours: Any, tolerance: float = 0.0, why: str = "") -> Comparison:
        return (
            Comparison(what, None, ours, why=smaller) if quick else Comparison(what, notes, ours, tolerance, why)
        )

    return [
        row("accuracy after the last epoch [%]", "98.55", 100 * last.accuracy, 0.3, drawn),
        row("average loss on the test images", "0.0435", last.loss, why=drawn),
        row("last line of progress", "59520/60032", last.progress, why="930 and 938 batches times 64"),
        row("progress in that line [%]", "99.147122", last.percent),
        row("loss in that line", "0.008309", last.batch_loss, why="of one batch of 64 images; " + drawn),
        Comparison("ids that syft remembers at the end", None, last.ids),
        Comparison("peak memory of the process [MB]", None, last.peak_memory_mb),
    ]


def spread(params: Params, plain: Mapping[int, Tuple[Evaluation, Params]]) -> List[Comparison]:
    """Whether plain torch gave the same weights, and the spread over the seeds."""
    same = sha256(params) == sha256(plain[SEED][1])
    accuracies = [100 * found.accuracy for found, _ in plain.values()]
    losses = [found.loss for found, _ in plain.values()]
    seeds = f"seeds {min(plain)} to {max(plain)}, without syft"
    return [
        Comparison("the same weights without syft, bit for bit", None, "yes" if same else "no"),
        Comparison("accuracy [%], mean", None, mean(accuracies), why=seeds),
        Comparison("accuracy [%], sample deviation", None, stdev(accuracies), why=seeds),
        Comparison("accuracy [%], lowest", None, min(accuracies), why=seeds),
        Comparison("accuracy [%], highest", None, max(accuracies), why=seeds),
        Comparison("average loss on the test images, mean", None, mean(losses), why=seeds),
    ]


def figure(epochs: List[Epoch], notes: bool) -> Any:
    """Accuracy and loss on the test images after each epoch, and the notes' after the tenth."""
    drawn = new_figure("One model visits two workers, batch by batch: MNIST", 3.6, title_size=11)
    numbers = range(1, len(epochs) + 1)
    ours = ([100 * one.accuracy for one in epochs], [one.loss for one in epochs])
    titles = ("test accuracy [%]", "average loss on the test images")
    for axes, title, values, theirs in zip(drawn.subplots(1, 2), titles, ours, (98.55, 0.0435)):
        axes.plot(numbers, values, "o-", color=COLOURS["full"], label="here")
        if notes:
            axes.plot([10], [theirs], "D", color=COLOURS["base"], label="the notes")
        axes.set(xlabel="epoch", ylabel=title, xticks=list(numbers))
        axes.grid(True, alpha=0.3)
        axes.legend(frameon=False)
    return drawn


def peak_memory_mb() -> float:
    """The peak memory of this process so far, in units of 10^6 bytes."""
    import resource

    # macOS counts it in bytes, Linux in KiB.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
