"""A transform: Gaussian noise, and a share of the last accepted update."""

from dataclasses import dataclass

import torch

from fl_simu.kernel.randomness import stream
from fl_simu.ue.transforms.base import Transform


@dataclass(frozen=True)
class NoisyMomentum(Transform):
    """Adds beta times the update that the BS accepted last, and noise.

    Args:
        beta: at least 0 and below 1.
        deviation: standard deviation of the noise.
    """

    beta: float = 0.5
    deviation: float = 0.001

    def apply(self, update, context, memory):
        draws = stream(context.key.seed, "noisy momentum", context.key.ue, context.key.round)
        changed = {}
        for name, tensor in update.items():
            if tensor.dtype.is_floating_point:
                noise = torch.from_numpy(draws.standard_normal(tuple(tensor.shape))).to(tensor.dtype)
                before = memory[name] if memory else 0
                changed[name] = tensor + self.beta * before + self.deviation * noise
        return {**update, **changed}, memory

    def settled(self, memory, sent, decoded):
        return {name: tensor for name, tensor in decoded.items() if tensor.dtype.is_floating_point}
