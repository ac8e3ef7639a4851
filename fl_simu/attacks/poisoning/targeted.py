"""Targeted poisoning: certain images get a wrong class, and nothing else is noticeable.

Reference: Bhagoji, Chakraborty, Mittal, Calo 2019, "Analyzing Federated Learning through an Adversarial Lens".
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Optional

import torch
from torch import nn

from fl_simu.attacks.poisoning.base import Hostile, Knowledge, Targets, moved, update_of
from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import MOST, require_count, require_factor
from fl_simu.kernel.parameters import Params, params_of
from fl_simu.ue.training import Shard

# The published code trains on the target until its loss is below this; more steps have almost no effect.
ENOUGH = 1e-6
TENSORS = ("all", "weights")
CONSTRAINTS = ("none", "own_benign", "others_last")
ESTIMATES = ("none", "before", "after")


def is_weight(tensor: torch.Tensor) -> bool:
    """Whether a tensor contains weights: two or more dimensions, so not a bias."""
    return tensor.dim() >= 2


@dataclass(frozen=True)
class Targeted(Hostile):
    """The goal is that randomly drawn test images get a randomly drawn wrong class.

    Args:
        targets: number of test images that should get a wrong class; 1 or more, at most all test images.
    """

    targets: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("targets", self.targets)


@dataclass(frozen=True)
class DataPoisoning(Targeted):
    """Many copies of the targets, with wrong classes, are added to the shard; training and update are honest.

    Args:
        copies: number of copies of each target, 1 or more.
    """

    copies: int = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("copies", self.copies)

    def own_data(self, shard: Shard, targets: Targets, classes: int) -> Shard:
        own = shard.images.index_select(0, shard.indices), shard.labels.index_select(0, shard.indices)
        images = torch.cat([own[0], *[targets.images] * self.copies])
        labels = torch.cat([own[1], *[targets.wanted] * self.copies])
        return Shard(images, labels, torch.arange(len(labels)))

    def poison(self, knowledge: Knowledge) -> Params:
        return knowledge.benign()


@dataclass(frozen=True)
class Optimising(Targeted):
    r"""The malicious UEs train on the targets and boost the resulting update.

    An update boosted by the number of UEs survives the mean in full. Training on the targets uses evaluation mode,
    as the BS will use the model, with all targets in one batch.

    Args:
        boost: factor on the change from training on the targets, above 0.
        boosted: which tensors are boosted, "all" or "weights" (two or more dimensions, no biases).
        constraint: a model r from which the trained model must not move far; :math:`\frac{\rho}{2} \|w - r\|^2` is
            added to the loss: "none"; "own_benign", the model that it would send if it were benign; "others_last",
            the global model moved by the others' last update as it estimates it (no constraint in a round without
            an estimate).
        rho: :math:`\rho` of the constraint, 0 or more.
        constrained: which tensors are constrained, "all" or "weights".
        estimate: how it uses the others' updates c of this round, which it assumes to equal those of the previous
            round: "none", not at all; "before", it starts from where they would lead; "after", it subtracts boost
            * c from its update.
    """

    boost: float = 10.0
    boosted: str = "all"
    constraint: str = "none"
    rho: float = 1e-4
    constrained: str = "all"
    estimate: str = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_factor("boost", self.boost)
        require_factor("rho", self.rho, or_zero=True)
        for field, allowed in (
            ("boosted", TENSORS),
            ("constrained", TENSORS),
            ("constraint", CONSTRAINTS),
            ("estimate", ESTIMATES),
        ):
            value = getattr(self, field)
            require(value in allowed, field, value, "one of " + ", ".join(allowed))

    @property
    def remembers(self) -> bool:
        return self.constraint == "others_last" or self.estimate != "none"

    def poison(self, knowledge: Knowledge) -> Params:
        if self.estimate == "none" or knowledge.others_last is None:
            return moved(knowledge.params, self.optimise(knowledge, knowledge.params))
        share = (knowledge.drawn - 1) / knowledge.drawn
        if self.estimate == "before":
            start = moved(knowledge.params, knowledge.others_last, share)
            return moved(knowledge.params, self.optimise(knowledge, start))
        poisoned = moved(knowledge.params, self.optimise(knowledge, knowledge.params))
        return moved(poisoned, self.boost_of(knowledge.others_last), -share)

    @abstractmethod
    def optimise(self, knowledge: Knowledge, start: Params) -> Params:
        """The boosted update of a model that stands at `start`; floating-point tensors only."""

    def boost_of(self, update: Params) -> Params:
        """The update with the boosted tensors multiplied."""
        everything = self.boosted == "all"
        return {
            name: tensor * self.boost if everything or is_weight(tensor) else tensor
            for name, tensor in update.items()
        }

    def reference(self, knowledge: Knowledge) -> Optional[Params]:
        """The model to stay near, if any."""
        if self.constraint == "own_benign":
            return knowledge.benign()
        if self.constraint == "others_last" and knowledge.others_last is not None:
            return moved(knowledge.params, knowledge.others_last)
        return None

    def pull(self, module: nn.Module, reference: Optional[Params]) -> None:
        """Add the gradient of the constraint."""
        if reference is None:
            return
        for name, parameter in module.named_parameters():
            if parameter.grad is not None and (self.constrained == "all" or is_weight(parameter)):
                parameter.grad.add_(parameter.detach() - reference[name], alpha=self.rho)


@dataclass(frozen=True)
class Boosting(Optimising):
    """Explicit boosting: train on the targets alone, boost the complete update.

    It trains until the loss on the targets is below 1e-6.

    Args:
        least_steps: minimum number of steps on the targets, 0 or more (mal_E in the published code).
        most_steps: maximum number of steps, 1 or more and at least `least_steps`.

    Reference: Bhagoji et al. 2019, section 3.
    """

    least_steps: int = 5
    most_steps: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("least_steps", self.least_steps, least=0)
        enough = max(1, self.least_steps) <= self.most_steps <= MOST
        require(enough, "most_steps", self.most_steps, f"at least 1, at least least_steps and at most {MOST}")

    def optimise(self, knowledge: Knowledge, start: Params) -> Params:
        return self.boost_of(self.towards_targets(knowledge, start))

    def towards_targets(self, knowledge: Knowledge, start: Params) -> Params:
        """The update, not boosted, from training on the targets from `start`."""
        reference, module, training = self.reference(knowledge), knowledge.module, knowledge.training
        module.load_state_dict(start)
        module.eval()
        optimizer = training.build_optimizer(module, knowledge.key.round)
        for step in range(self.most_steps):
            optimizer.zero_grad()
            loss = training.loss(module(knowledge.targets.images), knowledge.targets.wanted)
            if step >= self.least_steps and loss.item() < ENOUGH:
                break
            loss.backward()
            self.pull(module, reference)
            optimizer.step()
        return update_of(params_of(module), start)


@dataclass(frozen=True)
class Concatenated(Boosting):
    """The sum of an honest update and a boosted one, both from the same starting point.

    The boosted update is that of `boosting`.

    Reference: the code of Bhagoji et al. 2019.
    """

    def optimise(self, knowledge: Knowledge, start: Params) -> Params:
        boosted = super().optimise(knowledge, start)
        return moved(boosted, update_of(knowledge.benign(), knowledge.params))


@dataclass(frozen=True)
class AlternatingMinimisation(Optimising):
    """Honest steps, with one step on the targets after every few of them, whose change is boosted.

    Each kind of step has its own optimiser. The constraint applies to the honest steps. A step on the targets is
    skipped while their loss is below 1e-6.

    Args:
        benign_steps: number of honest steps before each step on the targets, 1 or more (ls in the published code).
        epochs: number of passes over its samples, 1 or more (mal_E).

    Reference: Bhagoji et al. 2019, section 4; ls = 10 and mal_E = 10 are those of its stealthy run.
    """

    benign_steps: int = 10
    epochs: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        require_count("benign_steps", self.benign_steps)
        require_count("epochs", self.epochs)

    def optimise(self, knowledge: Knowledge, start: Params) -> Params:
        reference, module, shard = self.reference(knowledge), knowledge.module, knowledge.shard
        training = replace(knowledge.training, epochs=self.epochs)
        module.load_state_dict(start)
        honest, hostile = (training.build_optimizer(module, knowledge.key.round) for _ in range(2))
        with torch.random.fork_rng(devices=[]):
            training.seed_torch(knowledge.key)
            for count, (images, labels) in enumerate(training.batches(knowledge.key, shard), start=1):
                module.train()
                honest.zero_grad()
                training.loss(module(images), labels).backward()
                self.pull(module, reference)
                honest.step()
                if count % self.benign_steps == 0:
                    self.step_on_targets(knowledge, module, hostile)
        return update_of(params_of(module), start)

    def step_on_targets(self, knowledge: Knowledge, module: nn.Module, hostile: torch.optim.Optimizer) -> None:
        """One step whose change is boosted."""
        module.eval()
        hostile.zero_grad()
        loss = knowledge.training.loss(module(knowledge.targets.images), knowledge.targets.wanted)
        if loss.item() < ENOUGH:
            return
        before = params_of(module)
        loss.backward()
        hostile.step()
        module.load_state_dict(moved(before, self.boost_of(update_of(params_of(module), before))))
