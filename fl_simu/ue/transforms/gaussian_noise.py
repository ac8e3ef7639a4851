"""Gaussian noise on updates, at the UE."""

from dataclasses import dataclass
from typing import Any, Tuple

import numpy as np
import torch

from fl_simu.kernel.limits import require_factor
from fl_simu.kernel.parameters import Params, floating_of
from fl_simu.kernel.randomness import stream
from fl_simu.ue.transforms.base import Context, Transform


@dataclass(frozen=True)
class GaussianNoise(Transform):
    r"""Independent normal noise on every number: the Gaussian mechanism of differential privacy, before the codec.

    .. math:: u' = u + \mathcal{N}(0, \sigma^2 I)

    The noise is added to all floating-point tensors; others are unchanged, and reveal their contents. After `clip`
    with norm C the noise multiplier of one upload is :math:`\sigma / C`. That of the sum of K uploads is
    :math:`\sqrt{K} \sigma / C`, if no single upload can be seen. This transform does not report the (epsilon,
    delta): that depends on how the UEs are drawn and on the number of rounds, and is reported by a mechanism of
    `privacy`.

    Each UE and round has its own noise. Later steps of the chain, such as the codec, do not weaken the privacy, as
    long as they see the noisy update alone. Error feedback keeps the error of the codec on the noisy update.

    Args:
        std: :math:`\sigma`, above 0.

    Reference: Dwork, Roth 2014, "The Algorithmic Foundations of Differential Privacy", appendix A; Geyer, Klein,
    Nabi 2017, "Differentially Private Federated Learning: A Client Level Perspective".
    """

    std: float = 0.001

    def __post_init__(self) -> None:
        require_factor("std", self.std)

    def apply(self, update: Params, context: Context, memory: Any) -> Tuple[Params, Any]:
        draws = stream(context.key.seed, "gaussian noise", context.key.ue, context.key.round)
        return {**update, **noisy(floating_of(update), self.std, draws)}, memory


def noisy(params: Params, std: float, draws: np.random.Generator) -> Params:
    """Floating-point tensors with independent normal noise on every number, added in float64."""
    return {
        name: (tensor.double() + std * torch.from_numpy(np.asarray(draws.standard_normal(tensor.shape)))).to(
            tensor.dtype
        )
        for name, tensor in params.items()
    }
