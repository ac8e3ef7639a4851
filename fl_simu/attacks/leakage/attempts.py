"""An attack on one upload, observed with knowledge of the true images."""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Callable, Dict, Iterator, List, Sequence, Tuple

import torch
import torch.backends.mkldnn
from torch import Tensor, nn

from fl_simu.attacks.leakage.image_measures import mean_squared_error
from fl_simu.attacks.leakage.methods import Method
from fl_simu.attacks.leakage.observation import Guess, Observation, Start

# A reconstruction counts as a success below this mean squared error (30 dB).
SUCCESS_MSE = 1e-3
# An attempt ends below this error: its success is certain, and no later iteration is used.
ENOUGH_MSE = 1e-4
# Iterations whose images are kept for a figure, in addition to the first and the last.
KEPT = frozenset(digit * 10**power for power in range(7) for digit in (1, 2, 5))


@dataclass(frozen=True, eq=False)
class Attempt:
    """The result of an attack from one start.

    Args:
        losses: at the start and after each iteration.
        mses: mean squared error from the true images, in their best order, at the same points.
        kept: iteration -> images.
        last: the last finite guess.
        ended: "succeeded" (below ENOUGH_MSE), "diverged" (the next guess was NaN or infinite), "stood still" (the
            next guess was identical bit for bit, so all later ones would be too), "iterations" (all were done).
    """

    losses: Sequence[float]
    mses: Sequence[float]
    kept: Dict[int, Tensor]
    last: Guess
    ended: str

    @property
    def diverged(self) -> bool:
        """Whether it ended in NaN or infinity."""
        return self.ended == "diverged"

    @property
    def success(self) -> bool:
        """Whether its last images are within SUCCESS_MSE of the true ones; always false if it diverged."""
        return not self.diverged and self.mses[-1] < SUCCESS_MSE


def attack(seen: Observation, method: Method, starts: Sequence[Start], truth: Tensor) -> Attempt:
    """Attack an upload from each start; the attempt with the smallest final loss counts.

    An attempt that diverged counts only if all did. The true images only decide when to stop.

    Args:
        seen: what the BS knows.
        method: the method of the attack.
        starts: one start or more.
        truth: the UE's images, shape (B, C, H, W).
    """
    with _own_convolutions():
        attempts = [watch(method.guesses(seen, start), truth) for start in starts]
    return min(attempts, key=lambda one: (one.diverged, one.last.loss))


@contextmanager
def _own_convolutions() -> Iterator[None]:
    """Convolutions without oneDNN, which takes half as long again for images this small."""
    before = torch.backends.mkldnn.set_flags(False)
    try:
        yield
    finally:
        torch.backends.mkldnn.set_flags(before[0])


def watch(guesses: Iterator[Guess], truth: Tensor) -> Attempt:
    """Follow an attempt to its end."""
    last = next(guesses)
    losses, mses = [last.loss], [mean_squared_error(truth, last.images)]
    kept, ended = {0: last.images}, "iterations"
    for guess in guesses:
        if not guess.finite or guess.same_place(last):
            ended = "stood still" if guess.finite else "diverged"
            break
        last = guess
        losses.append(guess.loss)
        mses.append(mean_squared_error(truth, guess.images))
        if len(losses) - 1 in KEPT:
            kept[len(losses) - 1] = guess.images
        if mses[-1] < ENOUGH_MSE:
            ended = "succeeded"
            break
    kept[len(losses) - 1] = last.images
    return Attempt(losses, mses, kept, last, ended)


def draw(
    make_module: Callable[[], nn.Module], seed: int, attempts: int, images: Tuple[int, ...], classes: int
) -> Tuple[nn.Module, List[Start]]:
    """A global model and the starts of attacks on it, drawn by torch in the order of the published code.

    Args:
        make_module: builds the model; draws its weights.
        seed: seed of torch's generator, whose state is restored afterwards.
        attempts: number of starts.
        images: shape of all images of the UE, (B, C, H, W).
        classes: number of classes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = make_module()
        starts = [Start(torch.randn(images), torch.randn(images[0], classes)) for _ in range(attempts)]
    return module, starts
