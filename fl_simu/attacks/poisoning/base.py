"""The contract of a poisoning attack: what a malicious UE knows, and what it sends."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Callable, NamedTuple, Optional, Sequence

import torch
from torch import Tensor, nn

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import MOST_UES, require_count
from fl_simu.kernel.parameters import Params, difference, floating_of
from fl_simu.kernel.randomness import permutation, stream
from fl_simu.ue.training import Key, LocalTraining, Shard


class Targets(NamedTuple):
    """Images that a targeted attack wants the global model to misclassify.

    Fields:
        images: float32, shape (t, C, H, W).
        wanted: the wrong class that the attack wants for each image, int64, shape (t,).
    """

    images: Tensor
    wanted: Tensor


def draw_targets(seed: int, count: int, images: Tensor, labels: Tensor, classes: int) -> Targets:
    """Draw `count` of these images at random, each with a random wrong class.

    Raises:
        BadField: there are fewer images.
    """
    require(count <= len(labels), "targets", count, f"at most the {len(labels)} test images")
    draws = stream(seed, "attack targets")
    rows = torch.from_numpy(permutation(draws, len(labels))[:count])
    shifts = torch.from_numpy(1 + (draws.random(count) * (classes - 1)).astype("int64"))
    return Targets(images.index_select(0, rows), (labels.index_select(0, rows) + shifts) % classes)


@dataclass(frozen=True)
class Knowledge:
    """What a malicious UE knows when it has to send.

    Args:
        key: seed, UE and round, for its draws.
        params: the global model that it was handed.
        shard: its own data.
        classes: number of classes.
        training: what a benign UE does in a round.
        module: a module to train with; its numbers are overwritten.
        targets: the images to misclassify; none for an untargeted attack.
        drawn: number of UEs that were handed this model.
        benign: the model that it would send if it were benign.
        others: the models of the benign UEs of this round, for omniscient attacks; otherwise none.
        others_last: the mean update of the other UEs in the previous round, as far as the global models reveal it
            (see `others_update`); None if the malicious UE was not selected in that round.
    """

    key: Key
    params: Params
    shard: Shard
    classes: int
    training: LocalTraining
    module: nn.Module
    targets: Targets
    drawn: int
    benign: Callable[[], Params]
    others: Sequence[Params] = ()
    others_last: Optional[Params] = None


class Attack(ABC):
    """What malicious UEs send instead of the models that they trained.

    See docs/attacks.md#model-poisoning.

    Class attributes:
        malicious: number of malicious UEs, the last ones.
        targets: number of images to misclassify; 0 for an untargeted attack.
        omniscient: whether a malicious UE knows the models of the benign UEs.
        remembers: whether it compares the global model with that of the previous round.
    """

    malicious: int = 0
    targets: int = 0
    omniscient: bool = False

    @property
    def remembers(self) -> bool:
        return False

    def own_data(self, shard: Shard, targets: Targets, classes: int) -> Shard:
        """The data that a malicious UE trains on instead of its own."""
        return shard

    @abstractmethod
    def poison(self, knowledge: Knowledge) -> Params:
        """The model that a malicious UE sends."""


@dataclass(frozen=True)
class NoAttack(Attack):
    """Every UE is benign."""

    def poison(self, knowledge: Knowledge) -> Params:
        return knowledge.benign()


@dataclass(frozen=True)
class Hostile(Attack):
    """Some UEs are malicious, unknown to the rest of the run.

    Whatever a malicious UE does, it takes the time and sends the bits of a benign UE.

    Args:
        malicious: number of malicious UEs, the last ones; 1 or more, fewer than `ues`.
    """

    malicious: int = 1

    def __post_init__(self) -> None:
        require_count("malicious", self.malicious, most=MOST_UES)


def update_of(params: Params, start: Params) -> Params:
    """params - start, floating-point tensors only."""
    return difference(floating_of(params), start)


def moved(start: Params, update: Params, factor: float = 1.0) -> Params:
    """start + factor * update; tensors that are not in the update are those of the start."""
    return {name: like + factor * update[name] if name in update else like for name, like in start.items()}


def mean_of(models: Sequence[Params]) -> Params:
    """The mean, floating-point tensors only, in float64 and back."""
    return {
        name: torch.stack([model[name].double() for model in models]).mean(dim=0).to(like.dtype)
        for name, like in floating_of(models[0]).items()
    }


def others_update(before: Params, now: Params, own: Params, drawn: int) -> Params:
    r"""The mean update of the others in a round, derived from the global models before and after it.

    If the BS takes the mean of n updates, :math:`w' - w = \frac{1}{n} \sum_i \delta_i`, so the others' mean is
    :math:`(n (w' - w) - \delta_m) / (n - 1)`. Under another rule this is a guess.

    Args:
        before, now: global models :math:`w, w'`.
        own: the UE's own update :math:`\delta_m` of that round, floating-point tensors.
        drawn: n, at least 2.
    """
    return {name: (drawn * (now[name] - before[name]) - sent) / (drawn - 1) for name, sent in own.items()}
