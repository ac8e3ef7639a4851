"""Untargeted poisoning, which degrades the global model as a whole."""

from dataclasses import dataclass

import torch

from fl_simu.attacks.poisoning.base import Hostile, Knowledge, Targets, mean_of, moved, update_of
from fl_simu.kernel.limits import require_factor
from fl_simu.kernel.parameters import Params, floating_of
from fl_simu.kernel.randomness import stream
from fl_simu.ue.training import Shard


@dataclass(frozen=True)
class SignFlip(Hostile):
    """The honest update, negated.

    This and the following attacks are untargeted: they degrade the global model as a whole, rather than its output
    on certain images.

    Args:
        scale: factor on the update, above 0.

    Reference: Li, Xu, Chen, Giannakis, Ling 2019, "RSA: Byzantine-Robust Stochastic Aggregation Methods".
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_factor("scale", self.scale)

    def poison(self, knowledge: Knowledge) -> Params:
        update = update_of(knowledge.benign(), knowledge.params)
        return moved(knowledge.params, update, -self.scale)


@dataclass(frozen=True)
class GaussianNoise(Hostile):
    """An update of independent normal numbers.

    Args:
        deviation: standard deviation of each number, above 0.

    Reference: Blanchard et al. 2017, section 6.
    """

    deviation: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_factor("deviation", self.deviation)

    def poison(self, knowledge: Knowledge) -> Params:
        draws = stream(knowledge.key.seed, "attack noise", knowledge.key.ue, knowledge.key.round)
        noise = {
            name: torch.from_numpy(draws.standard_normal(tensor.numel())).view(tensor.shape).to(tensor.dtype)
            for name, tensor in floating_of(knowledge.params).items()
        }
        return moved(knowledge.params, noise, self.deviation)


@dataclass(frozen=True)
class LittleIsEnough(Hostile):
    """A little is enough (ALIE): the benign mean, shifted by a few standard deviations in every coordinate.

    The attack hides in the spread of the benign updates: in each coordinate its value is one that a benign UE
    might have sent. All malicious UEs send the same update. The attack is omniscient: it knows the benign updates.

    Args:
        deviations: z, the number of standard deviations, above 0; the paper derives it from the numbers of UEs,
            and uses 1.5 on MNIST.

    Reference: Baruch, Baruch, Goldberg 2019, "A Little Is Enough: Circumventing Defenses For Distributed
    Learning".
    """

    deviations: float = 1.5

    omniscient = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_factor("deviations", self.deviations)

    def poison(self, knowledge: Knowledge) -> Params:
        mean = mean_of(knowledge.others)
        squares = mean_of([{name: (one[name] - mean[name]).pow(2) for name in mean} for one in knowledge.others])
        spread = {name: square.sqrt() for name, square in squares.items()}
        return moved(moved(knowledge.params, update_of(mean, knowledge.params)), spread, -self.deviations)


@dataclass(frozen=True)
class InnerProduct(Hostile):
    """Inner-product manipulation: the benign mean update, negated and scaled down to stay near the benign ones.

    The attack is omniscient: it knows the benign updates.

    Args:
        scale: factor on the update, above 0.

    Reference: Xie, Koyejo, Gupta 2019, "Fall of Empires: Breaking Byzantine-tolerant SGD by Inner Product
    Manipulation".
    """

    scale: float = 0.5

    omniscient = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_factor("scale", self.scale)

    def poison(self, knowledge: Knowledge) -> Params:
        update = update_of(mean_of(knowledge.others), knowledge.params)
        return moved(knowledge.params, update, -self.scale)


@dataclass(frozen=True)
class LabelFlip(Hostile):
    """Class c of C becomes C - 1 - c in the UE's data; training and update are honest.

    Reference: Fang, Cao, Jia, Gong 2020, "Local Model Poisoning Attacks to Byzantine-Robust Federated Learning".
    """

    def own_data(self, shard: Shard, targets: Targets, classes: int) -> Shard:
        labels = classes - 1 - shard.labels.index_select(0, shard.indices)
        return Shard(shard.images.index_select(0, shard.indices), labels, torch.arange(len(labels)))

    def poison(self, knowledge: Knowledge) -> Params:
        return knowledge.benign()
