"""DP-FedAvg: clipping to a fixed norm, and Gaussian noise at the BS or at the UEs."""

import math
from dataclasses import dataclass
from typing import Any, Mapping, Tuple

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import require_factor
from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params
from fl_simu.privacy.accounting import Accounted
from fl_simu.privacy.base import Release
from fl_simu.privacy.noise import NoisyClip, clipped, noisy_model
from fl_simu.ue.transforms.base import Transform

PLACES = ("bs", "ue_sum", "ue")


@dataclass(frozen=True)
class Gaussian(Accounted):
    r"""DP-FedAvg: each update is clipped to a norm C, and the sum of a round's updates has Gaussian noise.

    .. math:: w' = w + \frac{1}{m} \left( \sum_i u_i \min(1, C / \lVert u_i \rVert_2)
        + \mathcal{N}(0, z^2 C^2 I) \right)

    over the m updates that the BS takes, and over all numbers of the model. Against whom it protects is a matter
    of where the noise is added:

    `at = "bs"`: the BS, which is trusted, clips what it decodes and adds the noise to the mean. It protects
    against all who see the global models: UEs, and users of the last one. A malicious UE moves the sum by C at
    most.

    `at = "ue_sum"`: each UE clips and adds a share, of standard deviation :math:`z C / \sqrt{k}` with k the UEs
    that a round draws. It protects against a BS that learns the sums and no single upload, as with `secure`;
    without, the simulation takes that as given. Of m < k uploads the sum has :math:`\sqrt{m / k}` of the
    noise, and is counted so. UEs that work together with the BS take the noise of their own out.

    `at = "ue"`: each UE clips and adds all of the noise, :math:`z C`. It protects against the BS too, and costs
    :math:`\sqrt{m}` times the noise in the sum. What a UE does not get through counts as seen.

    The BS knows whom it drew, so with the last two `accounting = "none"`. They take the place between the
    experiment's transforms and error feedback. Codec and error feedback then work on what is noisy already, which
    with `at = "ue"` takes nothing from the protection. With `at = "ue_sum"` there is no error feedback, and the
    codec is `float32`, or under `secure` `fixed_point` with a step s of at most half the deviation d of a UE's
    noise: what numbers that are rounded one by one then tell beyond their sum is of the order
    :math:`e^{-2 \pi^2 (d / s)^2}`, below 1e-34 (Kairouz, Liu, Steinke 2021), and is left out. So is how the
    processor rounds the noise.

    Args:
        clip: C, above 0.
        at: "bs", "ue_sum" or "ue".

    Reference: McMahan, Ramage, Talwar, Zhang 2018, "Learning Differentially Private Recurrent Language Models";
    for noise at the UEs Kairouz, Liu, Steinke 2021, "The Distributed Discrete Gaussian Mechanism for Federated
    Learning with Secure Aggregation".
    """

    clip: float = 1.0
    at: str = "bs"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_factor("clip", self.clip)
        require(self.at in PLACES, "at", self.at, "one of " + ", ".join(PLACES))
        allowed = f'"none" with at = "{self.at}": the BS knows whom it drew'
        require(self.at == "bs" or not self.samples, "accounting", self.accounting, allowed)
        require_factor("noise_multiplier * clip", self.noise_multiplier * self.clip)

    @property
    def bounds_single(self) -> bool:
        return self.at == "bs"

    @property
    def sums_only(self) -> bool:
        return self.at == "ue_sum"

    def transforms(self, drawn: int) -> Tuple[Transform, ...]:
        if self.at == "bs":
            return ()
        std = self.noise_multiplier * self.clip
        return (NoisyClip(self.clip, std / math.sqrt(drawn) if self.at == "ue_sum" else std),)

    def bound(self, state: Any, current: Params, update: Update) -> Tuple[Update, float]:
        return clipped(update, current, self.clip) if self.at == "bs" else (update, 0.0)

    def release(self, state: Any, round: Release, combined: Params) -> Tuple[Any, Params, Mapping[str, float]]:
        taken, z = len(round.norms), self.noise_multiplier
        if self.at == "ue":
            state = self.spend(state, round.sent, z) if round.sent else state
        elif taken:
            share = math.sqrt(taken / round.drawn) if self.at == "ue_sum" else 1.0
            state = self.spend(state, round.norms, z * share)
        if self.at == "bs" and taken:
            combined = noisy_model(combined, z * self.clip / taken, round.seed, round.version)
        return state, combined, self.told(state, round.ues, round.drawn)
