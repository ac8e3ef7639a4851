"""The privacy loss of all rounds of a run, as (epsilon, delta)."""

import logging
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, Dict, Iterable, Mapping, NamedTuple, Optional, Tuple

from fl_simu.kernel.errors import BadField, require
from fl_simu.kernel.packages import install_command, installed, this_stack
from fl_simu.privacy.base import Mechanism
from fl_simu.results.columns import Column

ACCOUNTING = ("poisson", "fixed_size", "none")


class Spent(NamedTuple):
    """What a run has released so far.

    Fields:
        rounds: number of rounds with a release.
        ues: without amplification, by UE: the sum over its rounds of 1 / (noise multiplier)^2.
    """

    rounds: int
    ues: Dict[int, float]

    def after(self, ues: Iterable[int], noise_multiplier: float) -> "Spent":
        """The state after one more round, in which this noise covers these UEs."""
        cost = noise_multiplier**-2
        return Spent(self.rounds + 1, {**self.ues, **{ue: self.ues.get(ue, 0.0) + cost for ue in ues}})


@dataclass(frozen=True)
class Accounted(Mechanism):
    """A mechanism of Gaussian noise whose rounds are counted.

    `accounting` sets how the draw of the UEs counts. "poisson": as if each UE took part independently with
    probability q = `ues_per_round` / `ues`; one of two neighbours has a UE that sends zeros in the other. A round
    draws exactly so many UEs, so this is an approximation, the usual one. "fixed_size": as the draw is, without
    replacement; in neighbours one UE is replaced by another. That moves the sum by up to twice the clipping norm,
    so epsilon is larger. "none": an observer may know which UEs take part; neighbours are as for "poisson", and
    epsilon is that of the UE with the most rounds.

    Args:
        noise_multiplier: z, the standard deviation of the noise in units of the clipping norm, 0.01 to 1e6.
        delta: delta for which epsilon is reported, above 0 and below 1; well below 1 / `ues`. If not given,
            nothing is counted and no epsilon is reported.
        accounting: how the draw of the UEs counts: "poisson", "fixed_size" or "none", as described at the top of
            this section.
    """

    noise_multiplier: float = 1.0
    delta: Optional[float] = None
    accounting: str = "poisson"

    state_classes: ClassVar[Tuple[type, ...]] = (Spent,)

    def __post_init__(self) -> None:
        z, delta = self.noise_multiplier, self.delta
        require(0.01 <= z <= 1e6, "noise_multiplier", z, "0.01 to 1e6")
        require(delta is None or 0 < delta < 1, "delta", delta, "above 0 and below 1")
        require(self.accounting in ACCOUNTING, "accounting", self.accounting, "one of " + ", ".join(ACCOUNTING))

    def start(self) -> Any:
        return Spent(0, {})

    @property
    def columns(self) -> Mapping[str, Column]:
        if self.delta is None:
            return {}
        return {
            "epsilon": Column("", "privacy loss epsilon", "last", axis=True),
            "delta": Column("", "privacy loss delta", "last"),
        }

    @property
    def samples(self) -> bool:
        return self.accounting != "none"

    def check(self, ues: int, drawn: int) -> None:
        if self.delta is None or not self.samples or drawn == ues or installed("dp_accounting"):
            return
        if this_stack() == "legacy":
            allowed = (
                'with a draw it needs dp-accounting, on the modern stack; leave it out, or accounting = "none"'
            )
        else:
            command = install_command("dp_accounting")
            allowed = f"with a draw it needs dp-accounting, which is not installed: `{command}`"
        raise BadField("privacy.delta", self.delta, allowed)

    def spend(self, spent: Spent, ues: Iterable[int], noise_multiplier: float) -> Spent:
        """The state after one more round."""
        return spent.after(() if self.samples else ues, noise_multiplier)

    def told(self, spent: Spent, ues: int, drawn: int) -> Dict[str, float]:
        """Epsilon and delta so far."""
        if self.delta is None:
            return {}
        return {"epsilon": self.epsilon(spent, ues, drawn), "delta": self.delta}

    def epsilon(self, spent: Spent, ues: int, drawn: int) -> float:
        """Epsilon so far, if a round selects `drawn` of `ues` UEs."""
        assert self.delta is not None
        if not self.samples:
            return gaussian_epsilon(math.sqrt(max(spent.ues.values(), default=0.0)), self.delta)
        # Replacing a UE moves the sum twice as far as removing one.
        z = self.noise_multiplier / (2.0 if self.accounting == "fixed_size" else 1.0)
        if drawn == ues:
            return gaussian_epsilon(math.sqrt(spent.rounds) / z, self.delta)
        return sampled_epsilon(z, drawn, ues, self.accounting, spent.rounds, self.delta)


def gaussian_epsilon(mu: float, delta: float) -> float:
    r"""The smallest epsilon of a Gaussian mechanism.

    .. math:: \delta = \Phi(\mu / 2 - \epsilon / \mu) - e^\epsilon \Phi(-\mu / 2 - \epsilon / \mu)

    T such mechanisms in sequence are equivalent to one with :math:`\mu^2 = \sum_t \mu_t^2`.

    Args:
        mu: sensitivity over the standard deviation of the noise, at least 0.
        delta: above 0 and below 1.

    Reference: Balle, Wang 2018, "Improving the Gaussian Mechanism for Differential Privacy: Analytical Calibration
    and Optimal Denoising", theorem 8; Dong, Roth, Su 2022, "Gaussian Differential Privacy", corollary 3.3.

    >>> round(gaussian_epsilon(1.0, 1e-5), 4)
    4.3772
    """
    from scipy.special import log_ndtr

    def enough(epsilon: float) -> bool:
        first, second = log_ndtr([mu / 2 - epsilon / mu, -mu / 2 - epsilon / mu]).tolist()
        return math.exp(first) - math.exp(min(epsilon + second, 0.0)) <= delta

    if mu == 0.0 or enough(0.0):
        return 0.0
    low, high = 0.0, 1.0
    while not enough(high):
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def sampled_epsilon(
    noise_multiplier: float, drawn: int, ues: int, accounting: str, rounds: int, delta: float
) -> float:
    """An upper bound on epsilon if each round selects some of the UEs.

    Args:
        noise_multiplier: standard deviation of the noise over the sensitivity of the sum.
        drawn, ues: number of UEs that a round selects, and number of all UEs.
        accounting: "poisson" or "fixed_size".
        rounds: number of rounds, at least 0.
        delta: above 0 and below 1.
    """
    from dp_accounting.rdp import compute_epsilon

    if not rounds:
        return 0.0
    orders, divergences = _divergences(noise_multiplier, drawn, ues, accounting)
    return float(compute_epsilon(orders, rounds * divergences, delta)[0])


@lru_cache(maxsize=64)
def _divergences(noise_multiplier: float, drawn: int, ues: int, accounting: str) -> Tuple[Any, Any]:
    """Orders and the Rényi divergences of one round, which add up over rounds; two arrays of numpy."""
    import dp_accounting
    from dp_accounting.rdp import RdpAccountant

    gaussian = dp_accounting.GaussianDpEvent(noise_multiplier)
    if accounting == "poisson":
        accountant = RdpAccountant()
        event: Any = dp_accounting.PoissonSampledDpEvent(drawn / ues, gaussian)
    else:
        accountant = RdpAccountant(neighboring_relation=dp_accounting.NeighboringRelation.REPLACE_ONE)
        event = dp_accounting.SampledWithoutReplacementDpEvent(ues, drawn, gaussian)
    # It warns about each order for which its series does not converge; such an order is infinite here and never
    # the minimum.
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        accountant.compose(event)
    finally:
        logger.setLevel(level)
    # There is no public access to the divergences themselves, and computing them takes 0.1 s, too long for every
    # round.
    return accountant._orders, accountant._rdp
