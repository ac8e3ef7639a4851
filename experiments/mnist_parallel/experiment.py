"""The notes' puzzle: Alice and Bob train in parallel, and the average of their models is bad.

Alice and Bob hold half of the images each. After every round their models are averaged. Four arms differ in two
things: whether both start from the same initial model, and whether the average is sent back. Each arm runs with
small and with large steps.

Reference: notes, PySyft basics, the parallel training and the comment below it; McMahan et al. 2017,
"Communication-Efficient Learning of Deep Networks from Decentralized Data", figure 1 (averaging of two models
from one start and from two); Ainsworth et al. 2022, "Git Re-Basin", on the order of hidden units.
"""

import time
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import numpy as np
import torch

from fl_simu.backends import BACKENDS
from fl_simu.data.datasets import Dataset, ImageSet, Mnist
from fl_simu.data.partition import Iid
from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params, sha256
from fl_simu.kernel.randomness import permutation, stream
from fl_simu.models import MnistCnn
from fl_simu.results.comparisons import Comparison
from fl_simu.results.figures import new_figure, write_figures
from fl_simu.results.files import write_json
from fl_simu.results.study_plots import LINE_COLOURS
from fl_simu.station.aggregation.means import Mean
from fl_simu.station.evaluation import Exam
from fl_simu.studies.script import Say, Setup
from fl_simu.ue.optimizers import Optimizer, Sgd
from fl_simu.ue.training import Key, LocalTraining, Shard, Task, initial_params

SEED = 1
ALICE, BOB = 0, 1
MODEL = MnistCnn()


@dataclass(frozen=True)
class Size:
    """The amount of training; each round is one local epoch of Alice and one of Bob."""

    data: ImageSet
    rounds: int
    batch_size: int


FULL = Size(Mnist(), rounds=3, batch_size=64)
QUICK = Size(Mnist(1000, 500), rounds=3, batch_size=16)
# The notes' optimiser in mnist_sequential, and that of fl_simu's default experiment.
STEPS = {"small steps": Sgd(lr=0.01), "large steps": Sgd(lr=0.03, momentum=0.9)}
SHARES = np.linspace(0, 1, 11).tolist()


@dataclass(frozen=True)
class Arm:
    """Whether Alice and Bob start from the same model, and whether they continue from the average."""

    same_start: bool
    sent_back: bool


ARMS = {
    "two starts, average kept": Arm(same_start=False, sent_back=False),
    "one start, average kept": Arm(same_start=True, sent_back=False),
    "two starts, average sent back": Arm(same_start=False, sent_back=True),
    "one start, average sent back (FedAvg)": Arm(same_start=True, sent_back=True),
}
PUZZLE, ONE_START, SENT_BACK, FEDAVG = ARMS
REORDERED = "Alice and the same Alice with her units in another order"


class Accuracies(NamedTuple):
    """Test accuracies after a round's training, 0 to 1: the two models and their average."""

    alice: float
    bob: float
    average: float


@dataclass(frozen=True)
class Outcome:
    """The results of an arm: accuracies by round, Alice's and Bob's last models and their average."""

    rounds: Tuple[Accuracies, ...]
    alice: Params
    bob: Params
    average: Params


@dataclass(frozen=True)
class Findings:
    """The results with one size of steps.

    Args:
        outcomes: of each arm.
        between: accuracies (0 to 1) on the straight line between two models, at SHARES.
    """

    outcomes: Mapping[str, Outcome]
    between: Mapping[str, List[float]]


def reproduce(setup: Setup) -> List[Comparison]:
    """Run the four arms with small and large steps, and evaluate between the models; the notes give no numbers."""
    torch.set_num_threads(1)
    size = QUICK if setup.quick else FULL
    data = size.data.load(setup.data_dir)
    findings = {}
    for steps, optimizer in STEPS.items():
        start = time.time()
        setup.say(f"{steps}: {optimizer}")
        findings[steps] = find(Site(data, optimizer, size.batch_size), size.rounds, setup.say)
        setup.say(f"{time.time() - start:.0f} s")
    write_findings(setup, findings)
    return comparisons(findings)


def find(site: "Site", rounds: int, say: Say) -> Findings:
    """Run every arm, then evaluate on the straight line from one model to another."""
    outcomes = {}
    for name, arm in ARMS.items():
        outcomes[name] = play(arm, site, rounds)
        for number, accuracies in enumerate(outcomes[name].rounds, 1):
            say(f"{name}, round {number}: " + "Alice {:.2%}, Bob {:.2%}, average {:.2%}".format(*accuracies))
    pairs = {name: (outcomes[name].alice, outcomes[name].bob) for name in (PUZZLE, ONE_START, FEDAVG)}
    alice = outcomes[PUZZLE].alice
    pairs[REORDERED] = (alice, reordered(alice, SEED))
    between = {name: [site.accuracy(mixed(*pair, share)) for share in SHARES] for name, pair in pairs.items()}
    return Findings(outcomes, between)


class Site:
    """Both halves of the data, placed as by `fl_simu.loop.assemble`, and the BS's test images.

    If two arms share a training (Alice's first round, for example), it is carried out and evaluated once.
    """

    def __init__(self, data: Dataset, optimizer: Optimizer, batch_size: int) -> None:
        self.module, self.test = MODEL.build((1, 28, 28), data.classes), data.test
        self.training = LocalTraining(
            lambda: MODEL.build((1, 28, 28), data.classes), MODEL.loss, optimizer, batch_size=batch_size
        )
        self.backend = BACKENDS["torch"]().build(self.training)
        halves = Iid().split(data.train.labels.numpy(), 2, stream(SEED, "partition"))
        self.samples = [len(half) for half in halves]
        for ue, half in zip((ALICE, BOB), halves):
            self.backend.place(ue, Shard(data.train.images, data.train.labels, torch.from_numpy(half)))
        self._trained: Dict[Tuple[int, int, str], Params] = {}
        self._accuracies: Dict[str, float] = {}

    def trained(self, ue: int, number: int, params: Params) -> Params:
        """The model of a UE after it has trained `params` in a round."""
        key = (ue, number, sha256(params))
        if key not in self._trained:
            self.backend.train([Task(Key(SEED, ue, number), params, {})])
            self._trained[key] = self.backend.get(ue).params
        return self._trained[key]

    def accuracy(self, params: Params) -> float:
        """The share of the test images that a model classifies correctly."""
        key = sha256(params)
        if key not in self._accuracies:
            found = Exam(self.module, MODEL.loss, self.test.images, self.test.labels).evaluate(params)
            self._accuracies[key] = found.accuracy
        return self._accuracies[key]


def play(arm: Arm, site: Site, rounds: int) -> Outcome:
    """Train Alice and Bob for some rounds, and average their models after each."""
    seeds = (SEED, SEED if arm.same_start else SEED + 1)
    models = [initial_params(site.training.make_module, seed) for seed in seeds]
    told = []
    for number in range(rounds):
        alice, bob = (site.trained(ue, number, models[ue]) for ue in (ALICE, BOB))
        updates = [Update(ue, number, site.samples[ue], params) for ue, params in ((ALICE, alice), (BOB, bob))]
        average = Mean().combine(alice, updates, drawn=2)
        told.append(Accuracies(*map(site.accuracy, (alice, bob, average))))
        models = [average, average] if arm.sent_back else [alice, bob]
    return Outcome(tuple(told), alice, bob, average)


def mixed(alice: Params, bob: Params, share: float) -> Params:
    """(1 - share) Alice + share Bob, tensor by tensor."""
    return {name: (1 - share) * alice[name] + share * bob[name] for name in alice}


def reordered(params: Params, seed: int) -> Params:
    """The same function with the hidden units of every layer in a random order.

    A unit's outgoing weights move with it: channels of one convolution are inputs of the next, and each of the 64
    channels of the second is 144 inputs of the linear layer.
    """
    draws = stream(seed, "order of the units")
    first, second, hidden = (torch.from_numpy(permutation(draws, units)) for units in (32, 64, 128))
    inputs = (second.view(-1, 1) * 144 + torch.arange(144)).view(-1)
    moves: Sequence[Tuple[str, Dict[int, Any]]] = (
        ("conv.0.weight", {0: first}),
        ("conv.0.bias", {0: first}),
        ("conv.2.weight", {0: second, 1: first}),
        ("conv.2.bias", {0: second}),
        ("fc.0.weight", {0: hidden, 1: inputs}),
        ("fc.0.bias", {0: hidden}),
        ("fc.2.weight", {1: hidden}),
        ("fc.2.bias", {}),
    )
    moved = {}
    for name, orders in moves:
        moved[name] = params[name]
        for axis, order in orders.items():
            moved[name] = moved[name].index_select(axis, order)
    return moved


def comparisons(findings: Mapping[str, Findings]) -> List[Comparison]:
    """The accuracies [%] at the end of each arm, and halfway between two models."""
    found = []
    for steps, finding in findings.items():
        for name, outcome in finding.outcomes.items():
            for who, accuracy in outcome.rounds[-1]._asdict().items():
                found.append(Comparison(f"{steps}, {name}: {who} [%]", None, 100 * accuracy))
        halfway = finding.between[REORDERED][len(SHARES) // 2]
        found.append(Comparison(f"{steps}, halfway between {REORDERED} [%]", None, 100 * halfway))
    return found


def write_findings(setup: Setup, findings: Mapping[str, Findings]) -> None:
    """Write all accuracies to accuracies.json, and the figures."""
    told, figures = {}, {}
    for steps, finding in findings.items():
        rounds = {name: [one._asdict() for one in outcome.rounds] for name, outcome in finding.outcomes.items()}
        told[steps] = {"rounds": rounds, "share of Bob": SHARES, "between": finding.between}
        figures[steps.replace(" ", "_") + ".png"] = rounds_figure(steps, finding.outcomes)
    write_json(setup.out / "accuracies.json", told)
    write_figures(setup.out / "figures", {**figures, "between.png": between_figure(findings)})


def rounds_figure(steps: str, outcomes: Mapping[str, Outcome]) -> Any:
    """A panel for each arm: the test accuracy of Alice, Bob and the average over the rounds."""
    figure = new_figure(f"Alice and Bob train on half of the images each: {steps}", 5.6, title_size=11)
    styles = (("Alice", "#0072B2", "o--"), ("Bob", "#009E73", "s:"), ("average", "#D55E00", "D-"))
    for axes, (name, outcome) in zip(figure.subplots(2, 2, sharex=True, sharey=True).flat, outcomes.items()):
        numbers = range(1, len(outcome.rounds) + 1)
        for (label, colour, marks), values in zip(styles, zip(*outcome.rounds)):
            axes.plot(numbers, [100 * value for value in values], marks, color=colour, markersize=4, label=label)
        axes.set_title(name, fontsize=9)
        axes.set(xticks=list(numbers), ylim=(0, 102))
        axes.grid(True, alpha=0.3)
    figure.axes[0].legend(frameon=False, fontsize=8, loc="lower right")
    figure.supxlabel("round", fontsize=9)
    figure.supylabel("test accuracy [%]", fontsize=9)
    return figure


def between_figure(findings: Mapping[str, Findings]) -> Any:
    """Test accuracy along the straight line from one model to the other, a panel for each size of steps."""
    figure = new_figure("On the straight line from one model to the other", 4.2, title_size=11)
    for axes, (steps, finding) in zip(figure.subplots(1, len(findings), sharey=True), findings.items()):
        styles = zip(LINE_COLOURS[2:], ("D-", "o--", "s-.", "^:"))
        for (name, accuracies), (colour, marks) in zip(finding.between.items(), styles):
            values = [100 * accuracy for accuracy in accuracies]
            axes.plot(SHARES, values, marks, color=colour, markersize=4, label=name)
        axes.set(xlabel="a in (1 - a) Alice + a Bob", ylim=(0, 102))
        axes.set_title(steps, fontsize=9)
        axes.grid(True, alpha=0.3)
    figure.axes[0].set_ylabel("test accuracy [%]")
    figure.axes[0].legend(frameon=False, fontsize=7, loc="lower center")
    return figure
