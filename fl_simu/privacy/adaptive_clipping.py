"""DP-FedAvg whose clipping norm follows a quantile of the updates' norms."""

import math
from dataclasses import dataclass
from typing import Any, Mapping, NamedTuple, Optional, Tuple

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import LARGEST, require_factor
from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params
from fl_simu.kernel.randomness import stream
from fl_simu.privacy.accounting import Accounted, Spent
from fl_simu.privacy.base import Release
from fl_simu.privacy.noise import clipped, noisy_model
from fl_simu.results.columns import Column


class Adapted(NamedTuple):
    """The clipping norm of the next round, and the accounting so far."""

    clip: float
    spent: Spent


@dataclass(frozen=True)
class AdaptiveClipping(Accounted):
    r"""DP-FedAvg at a trusted BS whose clipping norm C follows a quantile of the norms of the updates.

    .. math:: C \leftarrow C \exp(-\eta (\tilde b - \gamma)), \quad
        \tilde b = \frac{1}{m} \left( \sum_i [\lVert u_i \rVert_2 \le C] + \mathcal{N}(0, \sigma_b^2) \right)

    The sums are over the m updates that the BS accepts. The sum of the clipped updates and the count are released
    together. The sum has noise of standard deviation :math:`z_\Delta C` with

    .. math:: z_\Delta = (z^{-2} - (2 \sigma_b)^{-2})^{-1/2}

    so that both together cost as much as noise of z alone. A round in which nothing is accepted leaves the model
    and C unchanged. The protection is that of `gaussian` with `at = "bs"`.

    Args:
        initial_clip: C of the first round, above 0.
        quantile: :math:`\gamma`, 0 to 1: target share of updates that are not clipped.
        clip_lr: :math:`\eta`, learning rate of C, above 0, at most 10.
        count_noise: :math:`\sigma_b`, above `noise_multiplier` / 2; `ues_per_round` / 20 if not given.

    Reference: Andrew, Thakkar, McMahan, Ramaswamy 2021, "Differentially Private Learning with Adaptive Clipping",
    algorithm 1.
    """

    initial_clip: float = 0.1
    quantile: float = 0.5
    clip_lr: float = 0.2
    count_noise: Optional[float] = None

    state_classes = (Spent, Adapted)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_factor("initial_clip", self.initial_clip)
        require(0 <= self.quantile <= 1, "quantile", self.quantile, "0 to 1")
        require(0 < self.clip_lr <= 10, "clip_lr", self.clip_lr, "above 0, at most 10")
        if self.count_noise is not None:
            require_factor("count_noise", self.count_noise)
            allowed = f"above noise_multiplier / 2, {self.noise_multiplier / 2:g}"
            require(2 * self.count_noise > self.noise_multiplier, "count_noise", self.count_noise, allowed)

    def start(self) -> Any:
        return Adapted(self.initial_clip, Spent(0, {}))

    @property
    def columns(self) -> Mapping[str, Column]:
        return {**super().columns, "clip_norm": Column("", "clipping norm", "last")}

    @property
    def bounds_single(self) -> bool:
        return True

    def check(self, ues: int, drawn: int) -> None:
        super().check(ues, drawn)
        if self.count_noise is None:
            allowed = (
                f"below {drawn / 10:g}, twice the noise of the count with {drawn} UEs a round; or count_noise"
            )
            require(self.noise_multiplier < drawn / 10, "privacy.noise_multiplier", self.noise_multiplier, allowed)

    def sum_multiplier(self, drawn: int) -> float:
        r""":math:`z_\Delta`, if a round selects `drawn` UEs."""
        return (self.noise_multiplier**-2 - (2 * self._count_std(drawn)) ** -2) ** -0.5

    def _count_std(self, drawn: int) -> float:
        return drawn / 20 if self.count_noise is None else self.count_noise

    def bound(self, state: Any, current: Params, update: Update) -> Tuple[Update, float]:
        return clipped(update, current, state.clip)

    def release(self, state: Any, round: Release, combined: Params) -> Tuple[Any, Params, Mapping[str, float]]:
        taken, clip = len(round.norms), state.clip
        if taken:
            std = self.sum_multiplier(round.drawn) * clip / taken
            combined = noisy_model(combined, std, round.seed, round.version)
            draw = stream(round.seed, "privacy count", round=round.version).standard_normal()
            count = sum(norm <= clip for norm in round.norms.values()) + self._count_std(round.drawn) * draw
            moved = clip * math.exp(-self.clip_lr * (count / taken - self.quantile))
            spent = self.spend(state.spent, round.norms, self.noise_multiplier)
            state = Adapted(min(max(moved, 1 / LARGEST), LARGEST), spent)
        return state, combined, {**self.told(state.spent, round.ues, round.drawn), "clip_norm": clip}
