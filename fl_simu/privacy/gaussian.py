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

    The sum is over the m updates that the BS accepts, and over all numbers of the model. The place where the noise
    is added determines against whom it protects:

    `at = "bs"`: the BS, which is trusted, clips what it decodes and adds the noise to the mean. This protects
    against everyone who sees the global models: UEs, and users of the last model. A malicious UE moves the sum by
    C at most.

    `at = "ue_sum"`: each UE clips and adds a share of the noise, of standard deviation :math:`z C / \sqrt{k}`,
    where k is the number of UEs selected for a round. This protects against a BS that learns the sums but no
    single upload, as with `secure`; without `secure`, the simulation takes this for granted. With m < k uploads
    the sum has :math:`\sqrt{m / k}` of the noise, and is counted so. UEs that collude with the BS can remove their
    own noise.

    `at = "ue"`: each UE clips and adds all of the noise, :math:`z C`. This protects against the BS too, and costs
    :math:`\sqrt{m}` times the noise in the sum. An upload that does not arrive counts as seen.

    The BS knows the UEs that it selected, so the last two require `accounting = "none"`. They act between the
    experiment's transforms and error feedback. The codec and error feedback then see only the noisy update, which
    with `at = "ue"` does not weaken the protection.

    With `at = "ue_sum"` there is no error feedback, and the codec is `float32`, or under `secure` `fixed_point`
    with a step s of at most half the standard deviation d of a UE's noise. Numbers that are rounded one by one
    then reveal, beyond their sum, a term of the order :math:`e^{-2 \pi^2 (d / s)^2}`, below 1e-34 (Kairouz, Liu,
    Steinke 2021), which is neglected. So is the rounding of the noise by the processor.

    Args:
        clip: C, above 0.
        at: where the noise is added: "bs", "ue_sum" or "ue"

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
