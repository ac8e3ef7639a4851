"""Five users, their models averaged by hand: the weights of the running pairwise average, and which users train.

Reference: notes, manual aggregation. The notes give code and no numbers.
"""

import copy
from types import SimpleNamespace
from typing import Any, Dict, List, Sequence, Tuple

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn, optim

from fl_simu.data.datasets import Mnist, Samples
from fl_simu.kernel.parameters import Params, largest_difference, params_of
from fl_simu.kernel.randomness import permutation, stream
from fl_simu.models import MnistCnn
from fl_simu.results.comparisons import Comparison
from fl_simu.results.figures import write_figures
from fl_simu.station.evaluation import Exam
from fl_simu.studies.script import Setup
from fl_simu.ue.training import initial_params

NEEDS_SYFT = True

SEED = 1
BATCH_SIZE, LOG_INTERVAL, LR = 16, 40, 0.01
NAMES = ("user1", "user2", "user3", "user4", "user5")

Batches = List[Tuple[Tensor, Tensor]]


def make_net() -> nn.Module:
    return MnistCnn().build((1, 28, 28), 10)


class Worker:
    """A user of the notes: a virtual worker, a model at this worker, and its SGD optimiser."""

    def __init__(self, sy: Any, name: str, model: nn.Module) -> None:
        self.id = name
        self.name = sy.VirtualWorker(hook=sy.hook, id=name)
        self.model: Any = copy.deepcopy(model).send(self.name)
        self.opt = optim.SGD(params=self.model.parameters(), lr=LR)

    def train(self, data: Any, target: Any) -> Any:
        self.opt.zero_grad()
        output = self.model(data)
        loss = MnistCnn.loss(output, target)
        loss.backward()
        self.opt.step()
        return loss


def combine(a: nn.Module, b: nn.Module, c: nn.Module) -> Params:
    a_param, b_param, c_param = a.state_dict(), b.state_dict(), c.state_dict()
    for var in c_param:
        c_param[var] = (a_param[var] + b_param[var]) / 2
    c.load_state_dict(c_param, strict=True)
    return c_param


def combine_pro(source_list: Sequence[Any], out: nn.Module) -> Params:
    out_param = out.state_dict()
    for source in source_list:
        param = source.model.state_dict()
        for var in param:
            out_param[var] = (param[var] + out_param[var]) / 2
    out.load_state_dict(out_param)
    return out_param


def true_mean(source_list: Sequence[Any]) -> Params:
    params = [params_of(source.model) for source in source_list]
    return {var: sum(one[var].double() for one in params).div(len(params)).float() for var in params[0]}


def weights_of(users: int) -> List[float]:
    """The weights of the old global model and of each user's in `combine_pro`, shown by one-hot models."""

    def one_hot(at: int) -> nn.Module:
        model = nn.Linear(users + 1, 1, bias=False)
        model.load_state_dict({"weight": torch.eye(users + 1)[at : at + 1]})
        return model

    sources = [SimpleNamespace(model=one_hot(at)) for at in range(1, users + 1)]
    return combine_pro(sources, one_hot(0))["weight"][0].tolist()


def notes_test(model: nn.Module, test: Samples) -> Tuple[float, float, int]:
    """The notes' test loop: loss and accuracy of its last printed line, and the number of samples seen by then."""
    model.eval()
    test_loss, correct, seen, size = 0.0, 0, 0, len(test)
    with torch.no_grad():
        for index, (data, target) in enumerate(zip(test.images.split(BATCH_SIZE), test.labels.split(BATCH_SIZE))):
            output = model(data)
            test_loss += nn.functional.nll_loss(output, target, reduction="sum").item()
            correct += int((output.argmax(dim=1) == target).sum())
            test_loss /= size
            seen += len(target)
            if index % LOG_INTERVAL == 0:
                printed = test_loss, correct / size, seen
    return printed


def draw_batches(train: Samples, count: int, users: int) -> List[Batches]:
    """A list of batches for each user, no sample twice. Users that share their batches get the first list."""
    order = torch.from_numpy(permutation(stream(SEED, "batches"), len(train)))
    rows = order[: users * count * BATCH_SIZE].split(BATCH_SIZE)
    batches = [(train.images[one], train.labels[one]) for one in rows]
    return [batches[at : at + count] for at in range(0, users * count, count)]


def train_users(workers: Sequence[Worker], batches: Sequence[Batches]) -> None:
    """The steps of all users, batch by batch, in turn as in the notes. Then the models are fetched."""
    for worker in workers:
        worker.model.train()
    for step in zip(*batches):
        for worker, (data, target) in zip(workers, step):
            worker.train(data.send(worker.name), target.send(worker.name))
    for worker in workers:
        worker.model.get()


def train_plainly(model: nn.Module, batches: Batches) -> Params:
    """The training of one user, without syft."""
    model = copy.deepcopy(model).train()
    opt = optim.SGD(params=model.parameters(), lr=LR)
    for data, target in batches:
        opt.zero_grad()
        MnistCnn.loss(model(data), target).backward()
        opt.step()
    return params_of(model)


def new_models(workers: Sequence[Worker], old: nn.Module) -> Dict[str, Params]:
    """The candidates for the new global model."""
    first, second, third = (worker.model for worker in workers[:3])
    return {
        "initial model": params_of(old),
        "user1 alone": params_of(first),
        "combine": combine(first, second, copy.deepcopy(third)),
        "combine_pro": combine_pro(workers[:3], copy.deepcopy(old)),
        "mean": true_mean(workers[:3]),
    }


def accuracy_and_loss(params: Params, test: Samples) -> Tuple[float, float]:
    """Test accuracy [%] and mean loss."""
    accuracy, loss, *_ = Exam(make_net(), MnistCnn.loss, test.images, test.labels).evaluate(params)
    return 100 * accuracy, loss


def reproduce(setup: Setup) -> List[Comparison]:
    # The notes stop after batch number 300, counted from 0.
    count = 40 if setup.quick else 301
    dataset = Mnist(test_samples=1000 if setup.quick else None).load(setup.data_dir)
    batches = draw_batches(dataset.train, count, 4)
    torch.set_num_threads(1)

    import syft as sy

    sy.hook = sy.TorchHook(torch)
    model = make_net()
    model.load_state_dict(initial_params(make_net, SEED))
    ours: Dict[str, float] = {}
    accuracies: Dict[str, Dict[str, float]] = {}
    for case, given in (("same batches", batches[:1] * 4), ("own batches", batches)):
        users = [Worker(sy, f"{name}, {case}", model) for name in NAMES]
        worker_list, user5 = users[:4], users[4]
        train_users(worker_list, given)
        user5.model.get()
        setup.say(f"{case}: trained")
        first, *others = [params_of(worker.model) for worker in worker_list]
        apart = max(largest_difference(first, other) for other in others)
        ours[f"{case}: largest difference between two users"] = apart
        if case == "same batches":
            plain = train_plainly(model, batches[0])
            ours["user1: largest difference from plain torch"] = largest_difference(first, plain)
            untouched = largest_difference(params_of(user5.model), params_of(model))
            ours["user5: largest difference from the initial model"] = untouched
            final_model = copy.deepcopy(model)
            final_model.load_state_dict(combine_pro(worker_list[:3], copy.deepcopy(model)))
        found = new_models(worker_list, model)
        accuracies[case] = {name: accuracy_and_loss(one, dataset.test)[0] for name, one in found.items()}
        ours.update({f"{case}: test accuracy, {name} [%]": one for name, one in accuracies[case].items()})

    weights = weights_of(3)
    ours.update(zip([f"combine_pro: weight of {name}" for name in ("the old global model", *NAMES)], weights))
    loss, accuracy, seen = notes_test(final_model, dataset.test)
    ours["combine_pro: test accuracy as the notes print it [%]"] = 100 * accuracy
    ours["combine_pro: highest accuracy that the notes can print [%]"] = 100 * seen / len(dataset.test)
    ours["combine_pro: test loss as the notes print it"] = loss
    ours["combine_pro: test loss"] = accuracy_and_loss(params_of(final_model), dataset.test)[1]
    figures = {"weights.png": weights_figure(weights), "accuracy.png": accuracy_figure(accuracies)}
    write_figures(setup.out / "figures", figures)
    return [Comparison(what, None, value) for what, value in ours.items()]


def weights_figure(weights: Sequence[float]) -> Figure:
    """The weight of each model in the running pairwise average, and in the mean."""
    figure = Figure(figsize=(8, 4), dpi=160, constrained_layout=True)
    axes, places = figure.subplots(), range(len(weights))
    mean = [0.0] + [1 / (len(weights) - 1)] * (len(weights) - 1)
    axes.bar([at - 0.2 for at in places], weights, 0.4, color="#0072B2", label="combine_pro")
    axes.bar([at + 0.2 for at in places], mean, 0.4, color="#E69F00", hatch="//", label="mean")
    for at, weight in enumerate(weights):
        axes.text(at - 0.2, weight + 0.01, f"1/{1 / weight:g}", ha="center")
    axes.set_xticks(list(places))
    axes.set_xticklabels(["old global model", *NAMES[: len(weights) - 1]])
    axes.set(ylabel="weight", ylim=(0, 0.58))
    axes.legend(frameon=False, loc="upper left")
    return figure


def accuracy_figure(accuracies: Dict[str, Dict[str, float]]) -> Figure:
    """Test accuracy of the candidates for the new global model."""
    figure = Figure(figsize=(8, 4), dpi=160, constrained_layout=True)
    axes = figure.subplots()
    styles = [{"color": "#0072B2"}, {"color": "#E69F00", "hatch": "//"}]
    for side, (case, found), style in zip((-0.2, 0.2), accuracies.items(), styles):
        axes.bar([at + side for at in range(len(found))], list(found.values()), 0.4, label=case, **style)
        for at, value in enumerate(found.values()):
            axes.text(at + side, value + 1, f"{value:.1f}", ha="center", fontsize=8)
    axes.set_xticks(range(len(found)))
    axes.set_xticklabels(["initial model, user5", *list(found)[1:]])
    axes.set(ylabel="test accuracy [%]", ylim=(0, 115))
    axes.legend(frameon=False, ncol=2, loc="upper left")
    return figure
