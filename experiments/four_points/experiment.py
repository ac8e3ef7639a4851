"""Four points and one linear layer: central, federated over bob and alice, and parallel training.

Reference: notes, PySyft basics, the practical part. They print losses and final parameters but no initial weights.
The script recovers these from the printed numbers.
"""

from typing import Any, Callable, Dict, List, Tuple

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.optimize import least_squares
from torch import nn, optim

from fl_simu.results.comparisons import Comparison
from fl_simu.results.figures import write_figures
from fl_simu.studies.script import Setup

NEEDS_SYFT = True

# The numbers that the notes print: the losses, then both weights and the bias.
CENTRAL = """
5.9401 1.5482 0.9018 0.6321 0.4559 0.3317 0.2429 0.1788 0.1324 0.0984
0.0734 0.0550 0.0413 0.0311 0.0235 0.0178 0.0135 0.0102 0.0078 0.0059
0.9474 -0.0380 0.0537
"""
FEDERATED = """
0.4073 1.7476 0.0373 0.6147 0.0467 0.1415 0.2494 0.0358 0.4112 0.0508
0.4553 0.0705 0.3995 0.0603 0.2889 0.0305 0.1692 0.0055 0.0739 0.0031
0.0190 0.0242 0.0023 0.0549 0.0098 0.0761 0.0241 0.0767 0.0329 0.0581
0.0320 0.0321 0.0239 0.0130 0.0140 0.0100 0.0064 0.0231 0.0024 0.0438
1.1871 -0.0440 0.0198
"""

# The points with a 1 for the bias; the first two are bob's, the others alice's.
X = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1.0]])
Y = np.array([0, 0, 1, 1.0])
WORKERS = {"bob": slice(0, 2), "alice": slice(2, 4)}

Printed = Tuple[List[float], List[float]]


def loss_and_gradient(w: np.ndarray, rows: slice) -> Tuple[np.ndarray, np.ndarray]:
    error = w @ X[rows].T - Y[rows]
    return (error**2).sum(-1), 2 * error @ X[rows]


def simulate_central(w: np.ndarray) -> np.ndarray:
    """The numbers that 20 steps of SGD print, in float64, from initial parameters of shape (..., 3)."""
    losses = []
    for _ in range(20):
        loss, gradient = loss_and_gradient(w, slice(None))
        losses.append(loss)
        w = w - 0.1 * gradient
    return np.concatenate([np.stack(losses, -1), w], -1)


def simulate_federated(w: np.ndarray) -> np.ndarray:
    """The same for 20 visits to bob and alice, each with a separate Adam."""
    losses, first, second = [], dict.fromkeys(WORKERS, 0.0), dict.fromkeys(WORKERS, 0.0)
    for step in range(1, 21):
        for worker, rows in WORKERS.items():
            loss, gradient = loss_and_gradient(w, rows)
            losses.append(loss)
            first[worker] = 0.9 * first[worker] + 0.1 * gradient
            second[worker] = 0.999 * second[worker] + 0.001 * gradient**2
            scale = np.sqrt(second[worker] / (1 - 0.999**step)) + 1e-8
            w = w - 0.1 * first[worker] / (1 - 0.9**step) / scale
    return np.concatenate([np.stack(losses, -1), w], -1)


def recover(simulate: Callable[[np.ndarray], np.ndarray], notes: str) -> np.ndarray:
    """The initial parameters, in the range of nn.Linear(2, 1), with which the notes' numbers are printed.

    Least squares from the best points of a grid; then the same with a high power of the residuals. This makes the
    largest residual small, and so keeps every value away from a rounding edge.
    """
    printed = np.array(notes.split(), dtype=float)
    axis = np.linspace(-1, 1, 25) / np.sqrt(2)
    grid = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    starts = grid[np.argsort(((simulate(grid) - printed) ** 2).sum(-1))[:5]]
    tight = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15}
    found = [least_squares(lambda w: simulate(w) - printed, start, **tight) for start in starts]
    best = min(found, key=lambda one: one.cost).x
    return least_squares(lambda w: ((simulate(w) - printed) / 5e-5) ** 5, best, **tight).x


def linear(w: np.ndarray) -> nn.Linear:
    model = nn.Linear(2, 1)
    weight = torch.tensor(w, dtype=torch.float32)
    model.load_state_dict({"weight": weight[:2].view(1, 2), "bias": weight[2:]})
    return model


def parameters(model: nn.Linear) -> List[float]:
    return [*model.weight.data.view(-1).tolist(), *model.bias.data.tolist()]


def points() -> Tuple[torch.Tensor, torch.Tensor]:
    data = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1.0]], requires_grad=True)
    target = torch.tensor([[0], [0], [1], [1.0]], requires_grad=True)
    return data, target


def train_central(model: nn.Linear) -> Printed:
    data, target = points()
    opt, losses = optim.SGD(params=model.parameters(), lr=0.1), []
    for _ in range(20):
        opt.zero_grad()
        pred = model(data)
        loss = ((pred - target) ** 2).sum()
        loss.backward()
        opt.step()
        losses.append(loss.item())
    return losses, parameters(model)


def train_federated(model: nn.Linear, workers: Dict[str, Any]) -> Printed:
    from syft.federated.floptimizer import Optims

    data, target = points()
    datasets = [(data[WORKERS[name]].send(one), target[WORKERS[name]].send(one)) for name, one in workers.items()]
    optims, losses = Optims(list(workers), optim=optim.Adam(params=model.parameters(), lr=0.1)), []
    for _ in range(20):
        for data, target in datasets:
            model.send(data.location)
            opt = optims.get_optim(data.location.id)
            opt.zero_grad()
            pred = model(data)
            loss = ((pred - target) ** 2).sum()
            loss.backward()
            opt.step()
            model.get()
            losses.append(loss.get().item())
    return losses, parameters(model)


def train_parallel(model: nn.Linear, workers: Dict[str, Any], third: Any) -> Printed:
    """Ten epochs: each worker makes five steps with a copy, and a third averages. Losses are of the fifth step."""
    data, target = points()
    datasets = [(data[WORKERS[name]].send(one), target[WORKERS[name]].send(one)) for name, one in workers.items()]
    losses = []
    for _ in range(10):
        models = [model.copy().send(worker) for worker in workers.values()]
        for copy, (data, target) in zip(models, datasets):
            opt = optim.SGD(params=copy.parameters(), lr=0.1)
            for _ in range(5):
                opt.zero_grad()
                loss = ((copy(data) - target) ** 2).sum()
                loss.backward()
                opt.step()
            losses.append(loss.get().item())
        for copy in models:
            copy.move(third)
        one, two = models
        with torch.no_grad():
            model.weight.set_(((one.weight.data + two.weight.data) / 2).get())
            model.bias.set_(((one.bias.data + two.bias.data) / 2).get())
    return losses, parameters(model)


def train_parallel_plainly(model: nn.Linear) -> Printed:
    """The computation of `train_parallel`, without syft."""
    (data, target), losses = points(), []
    for _ in range(10):
        models = [linear(np.array(parameters(model))) for _ in WORKERS]
        for copy, rows in zip(models, WORKERS.values()):
            opt = optim.SGD(params=copy.parameters(), lr=0.1)
            for _ in range(5):
                opt.zero_grad()
                loss = ((copy(data[rows]) - target[rows]) ** 2).sum()
                loss.backward()
                opt.step()
            losses.append(loss.item())
        one, two = (np.array(parameters(copy), dtype=np.float32) for copy in models)
        model = linear((one + two) / 2)
    return losses, parameters(model)


def beside(kind: str, notes: str, ours: Printed) -> List[Comparison]:
    losses, final = ours
    names = [f"{kind}: loss {at}" for at in range(1, len(losses) + 1)]
    names += [f"{kind}: final {name}" for name in ("weight 1", "weight 2", "bias")]
    return [Comparison(*row) for row in zip(names, notes.split(), losses + final)]


def reproduce(setup: Setup) -> List[Comparison]:
    starts = {"central": recover(simulate_central, CENTRAL), "federated": recover(simulate_federated, FEDERATED)}
    import syft as sy

    hook = sy.TorchHook(torch)
    workers = {name: sy.VirtualWorker(hook, id=name) for name in WORKERS}
    central = train_central(linear(starts["central"]))
    federated = train_federated(linear(starts["federated"]), workers)
    comparisons = beside("central", CENTRAL, central) + beside("federated", FEDERATED, federated)
    for kind, start in starts.items():
        for name, value in zip(("weight 1", "weight 2", "bias"), start):
            comparisons.append(
                Comparison(f"{kind}: initial {name}", None, float(value), why="recovered from the losses")
            )

    start = starts["federated"]
    parallel = train_parallel(linear(start), workers, sy.VirtualWorker(hook, id="third"))
    plain = train_parallel_plainly(linear(start))
    worst = max(abs(one - two) for one, two in zip(parallel[0] + parallel[1], plain[0] + plain[1]))
    comparisons.append(Comparison("parallel: largest difference from plain torch", None, worst))
    for name, value in zip(("weight 1", "weight 2", "bias"), parallel[1]):
        comparisons.append(Comparison(f"parallel: final {name}", None, value))
    write_figures(setup.out / "figures", {"losses.png": losses_figure(central[0], federated[0])})
    return comparisons


def losses_figure(central: List[float], federated: List[float]) -> Figure:
    """Our losses as lines, the notes' as marks."""
    figure = Figure(figsize=(8, 4.5), dpi=160, constrained_layout=True)
    left, right = figure.subplots(1, 2)
    steps = np.arange(1, 21)
    left.semilogy(steps, central, color="black", label="ours")
    left.semilogy(
        steps, [float(one) for one in CENTRAL.split()[:20]], "o", color="#0072B2", mfc="none", label="the notes"
    )
    left.set(title="central, SGD", xlabel="step", ylabel="loss, sum over the points")
    for at, (name, colour) in enumerate((("bob", "#0072B2"), ("alice", "#D55E00"))):
        notes = [float(one) for one in FEDERATED.split()[at:40:2]]
        right.semilogy(steps, federated[at::2], color=colour, label=f"{name}, ours")
        right.semilogy(steps, notes, "o", color=colour, mfc="none", label=f"{name}, the notes")
    right.set(title="federated, an Adam a worker", xlabel="visit")
    for axes in (left, right):
        axes.grid(True, alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False)
    return figure
