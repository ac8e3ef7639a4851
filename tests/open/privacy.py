"""A privacy mechanism: Laplace noise at the BS, whose epsilon adds up and needs no delta."""

from dataclasses import dataclass, replace

import torch

from fl_simu.kernel.parameters import difference, total
from fl_simu.kernel.randomness import stream
from fl_simu.privacy.base import Mechanism
from fl_simu.results.columns import Column


@dataclass(frozen=True)
class Laplace(Mechanism):
    """Each update is clipped to L1 norm 1; the sum of the updates gets Laplace noise.

    Args:
        each: epsilon of a round, above 0.
    """

    each: float = 1.0

    @property
    def columns(self):
        return {"epsilon": Column("", "privacy loss", "last")}

    def start(self):
        return 0.0

    def bound(self, state, current, update):
        moved = difference(update.params, current)
        size = max(sum(one.abs().sum().item() for one in moved.values()), 1.0)
        return replace(update, params=total({name: one / size for name, one in moved.items()}, current)), size

    def release(self, state, round, combined):
        draws = stream(round.seed, "privacy", 0, round.version)
        std, spent = 1 / self.each / max(len(round.norms), 1), state + self.each
        noise = {name: torch.from_numpy(draws.laplace(0, std, one.shape)) for name, one in combined.items()}
        return spent, {name: (combined[name] + one).float() for name, one in noise.items()}, {"epsilon": spent}
