"""Methods that reconstruct images from a gradient: one class each, one row in the registry below.

A method is a frozen description. Its `guesses` yields its state at the start and after every iteration. It never
sees the true images; the caller may stop it at any guess.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Callable, ClassVar, Dict, Iterator, Type

import torch
import torch.nn.functional as F
from torch import Tensor

from fl_simu.attacks.leakage.observation import Guess, Observation, Start, label_of
from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import MOST, require_count, require_factor
from fl_simu.ue.optimizers import uncompiled


@dataclass(frozen=True)
class Method(ABC):
    """The contract of a method.

    Args:
        iterations: maximum number of iterations, 1 to 1,000,000.
        restarts: number of attempts from different starts, at least 1; the one with the smallest final loss
            counts.

    Class attributes:
        batches: whether it can attack more than one image at a time.
    """

    iterations: int = 300
    restarts: int = 1

    batches: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require(1 <= self.iterations <= MOST, "iterations", self.iterations, f"1 to {MOST}")
        require_count("restarts", self.restarts, most=1000)

    @abstractmethod
    def guesses(self, seen: Observation, start: Start) -> Iterator[Guess]:
        """The start, then a guess after each iteration."""


@dataclass(frozen=True)
class Dlg(Method):
    r"""Deep leakage from gradients: images and labels together, by L-BFGS on the squared gradient distance.

    Minimises :math:`\|\nabla L(x', softmax(y')) - g\|^2` over dummy images x' and dummy logits y', with torch's
    L-BFGS (rate 1, 20 inner steps per iteration, no line search). It may diverge, since the steps are not bounded.

    With more than one image, the gradient does not reveal their order, so the order of the result is arbitrary.
    Images may also mix, since the gradient is a mean over them. The paper changes one image at a time; here all
    images are changed at once.

    Args:
        iterations: outer iterations; 300 as published.
        restarts: as for every method.

    Reference: Zhu, Liu, Han, "Deep Leakage from Gradients", 2019; notes, gradient leakage.
    """

    batches = True

    def guesses(self, seen: Observation, start: Start) -> Iterator[Guess]:
        images, logits = (one.clone().requires_grad_() for one in start)
        return _lbfgs(seen, images, lambda: F.softmax(logits, dim=1), (images, logits), self.iterations)


@dataclass(frozen=True)
class Idlg(Method):
    """Improved DLG: the label is read from the last layer's gradient, then L-BFGS on the image. One image only.

    Args:
        iterations: outer iterations; 300 as published.
        restarts: as for every method.

    Reference: Zhao, Mopuri, Bilen, "iDLG: Improved Deep Leakage from Gradients", 2020.
    """

    def guesses(self, seen: Observation, start: Start) -> Iterator[Guess]:
        targets = one_hot(label_of(seen), seen.classes)
        images = start.images.clone().requires_grad_()
        return _lbfgs(seen, images, lambda: targets, (images,), self.iterations)


@dataclass(frozen=True)
class InvertingGradients(Method):
    r"""Inverting gradients: cosine distance and total variation, by signed Adam. One image, its label as in iDLG.

    Minimises :math:`1 - \cos(\nabla L(x'), g) + a\,TV(x')`, where TV is the mean absolute difference of
    neighbouring pixels, down plus across. Adam gets the sign of the gradient; its rate falls to a tenth after 3/8,
    5/8 and 7/8 of the iterations; pixels are kept in 0..1.

    Args:
        iterations: Adam's steps; 4,800 is the published number for small networks.
        restarts: as for every method.
        lr: Adam's initial rate, above 0.
        total_variation: the weight a, at least 0. On `dlg_lenet`, 0.01 gives images of about 20 dB; 1e-4,
            published for ReLU networks, gives about 10 dB.

    Reference: Geiping, Bauermeister, Droege, Moeller, "Inverting Gradients", 2020.
    """

    iterations: int = 4800
    lr: float = 0.1
    total_variation: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        require_factor("lr", self.lr)
        require_factor("total_variation", self.total_variation, or_zero=True)

    def guesses(self, seen: Observation, start: Start) -> Iterator[Guess]:
        targets = one_hot(label_of(seen), seen.classes)
        images = start.images.clamp(0, 1).requires_grad_()
        optimizer = uncompiled(torch.optim.Adam)([images], lr=self.lr)
        for iteration in range(self.iterations + 1):
            loss = cosine_distance(seen, images, targets) + self.total_variation * total_variation(images)
            yield Guess(loss.item(), images.detach().clone(), targets)
            images.grad = torch.autograd.grad(loss, images)[0].sign()
            optimizer.param_groups[0]["lr"] = self.lr * self.decay(iteration)
            optimizer.step()
            with torch.no_grad():
                images.clamp_(0, 1)

    def decay(self, iteration: int) -> float:
        """The factor on the rate at an iteration, counted from 0."""
        return 0.1 ** sum(8 * iteration >= eighths * self.iterations for eighths in (3, 5, 7))


def one_hot(label: int, classes: int) -> Tensor:
    """The probabilities of one certain label, shape (1, classes)."""
    return F.one_hot(torch.tensor([label]), classes).float()


def cosine_distance(seen: Observation, images: Tensor, targets: Tensor) -> Tensor:
    """1 - cosine between the simulated and the decoded gradient, over all parameters together."""
    ours = torch.cat([one.reshape(-1) for one in seen.simulated(images, targets)])
    theirs = torch.cat([one.reshape(-1) for one in seen.gradient])
    return 1 - F.cosine_similarity(ours, theirs, dim=0)


def total_variation(images: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels, down plus across.

    >>> total_variation(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]])).item()
    1.0
    """
    down = images[:, :, 1:] - images[:, :, :-1]
    across = images[:, :, :, 1:] - images[:, :, :, :-1]
    return down.abs().mean() + across.abs().mean()


def _lbfgs(
    seen: Observation, images: Tensor, targets: Callable[[], Tensor], variables: tuple, iterations: int
) -> Iterator[Guess]:
    """L-BFGS on the squared gradient distance, over the variables that define images and targets."""
    optimizer = uncompiled(torch.optim.LBFGS)(variables)

    def closure() -> Tensor:
        loss = seen.squared_distance(images, targets())
        # Not backward(): the gradient of the model's own parameters would double the cost.
        for one, gradient in zip(variables, torch.autograd.grad(loss, variables)):
            one.grad = gradient
        return loss.detach()

    for iteration in range(iterations + 1):
        if iteration:
            optimizer.step(closure)
        with torch.no_grad():
            found = images.clone(), targets().clone()
        yield Guess(closure().item(), *found)


METHODS: Dict[str, Type[Method]] = {"dlg": Dlg, "idlg": Idlg, "inverting_gradients": InvertingGradients}
