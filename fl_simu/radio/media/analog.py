"""Common parts of media on which the updates add up on the air."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import torch
from torch import Tensor

from fl_simu.kernel.columns import Column
from fl_simu.kernel.errors import UserError, require
from fl_simu.kernel.limits import LONGEST_S, require_count
from fl_simu.kernel.messages import Taken, Update
from fl_simu.kernel.parameters import Params, Structure, all_finite
from fl_simu.kernel.randomness import briefly
from fl_simu.radio.allocation.base import Allocator
from fl_simu.radio.link import Link, Upload
from fl_simu.radio.media.base import Air, Arrival, SharedMedium

SYMBOLS, NOISE = "air_symbols", "air_noise_std"
# Numbers per symbol, one on each quadrature.
A_SYMBOL = 2


class Cohort(NamedTuple):
    """The state of the sum of a cohort.

    Args:
        coming: the UEs that were handed the model and have not yet decided whether they send.
        ready: the UEs that send, in the order in which they finished training.
        latest_s: latest time at which they begin.
        began_s: time at which they began; infinity before.
        lasts_s: duration of sending; 0 before any UE is ready.
    """

    coming: Tuple[int, ...] = ()
    ready: Tuple[int, ...] = ()
    latest_s: float = math.inf
    began_s: float = math.inf
    lasts_s: float = 0.0


@dataclass(frozen=True)
class Analog(SharedMedium):
    """The UEs that received a model together send at the same time, and the BS receives their sum.

    Args:
        snr_db: P0 / sigma^2 in dB, -100 to 200, or `inf` for no noise.
        subcarriers: number of subcarriers of the band, 1 or more; each carries one symbol at a time.
        spacing_khz: subcarrier spacing in kHz, 0.001 to 1e6; a symbol lasts one period of it, and the band is
            `subcarriers` times as wide.
        latest_s: time in s after the broadcast at which the UEs that have trained begin to send, whoever is
            missing, above 0; `inf` waits for all UEs that train. A later UE is rejected as `late`.
    """

    separable = False
    analog = True
    state_classes = (Cohort,)

    snr_db: float = 20.0
    subcarriers: int = 1200
    spacing_khz: float = 15.0
    latest_s: float = math.inf

    def __post_init__(self) -> None:
        snr = self.snr_db
        require(-100 <= snr <= 200 or snr == math.inf, "snr_db", snr, "in dB, -100 to 200, or inf")
        require_count("subcarriers", self.subcarriers)
        require(1e-3 <= self.spacing_khz <= 1e6, "spacing_khz", self.spacing_khz, "0.001 to 1e6")
        right = 0 < self.latest_s <= LONGEST_S or self.latest_s == math.inf
        require(right, "latest_s", self.latest_s, f"above 0, at most {LONGEST_S:g}, or inf")

    @property
    def columns(self) -> Mapping[str, Column]:
        return {
            SYMBOLS: Column("", "symbols on the air", axis=True),
            NOISE: Column("", "noise on the mean, standard deviation", "last"),
        }

    def symbols(self, numbers: int) -> int:
        """Number of consecutive symbols for a count of numbers, however many UEs send."""
        return -(-numbers // (A_SYMBOL * self.subcarriers))

    def noise_ratio(self) -> float:
        """sigma^2 / P0."""
        return 10 ** (-self.snr_db / 10)

    @abstractmethod
    def noise_variance(self, seed: int, version: int, factors: Mapping[int, float]) -> float:
        """Variance of the noise on each number of the sum of these UEs, whose own numbers have variance 1.

        Args:
            factors: the scaling factor of each UE, above 0 and at most 1.
        """

    def residual(self, seed: int, ue: int, version: int) -> complex:
        """The factor by which the channel changes a symbol that a UE has sent; 1 for none."""
        return 1.0

    # Sending.

    def pending(
        self,
        link: Link,
        ue: int,
        version: int,
        start_s: float,
        structure: Structure,
        bits: int,
        compute_s: float,
    ) -> Upload:
        numbers = sum(spec.elements for spec in structure)
        return Upload(ue, version, start_s, (0,), (math.inf,), 0, compute_s, numbers=numbers)

    def start(self) -> Cohort:
        return Cohort()

    def handed(
        self, state: Cohort, link: Link, allocator: Allocator, uploads: Mapping[int, Upload], now_s: float
    ) -> Cohort:
        return Cohort(tuple(uploads), latest_s=now_s + self.latest_s)

    def silence(self, state: Cohort, link: Link, upload: Upload, now_s: float) -> str:
        return "late" if now_s > min(state.latest_s, state.began_s) else ""

    def join(self, state: Cohort, link: Link, upload: Upload, now_s: float) -> Cohort:
        coming = tuple(ue for ue in state.coming if ue != upload.ue)
        lasts_s = self.symbols(upload.numbers) / (1e3 * self.spacing_khz)
        return state._replace(coming=coming, ready=(*state.ready, upload.ue), lasts_s=lasts_s)

    def leave(self, state: Cohort, link: Link, ue: int, now_s: float) -> Cohort:
        if ue not in state.coming and ue not in state.ready:
            return state
        return _without(state, ue)

    def plan(
        self, state: Cohort, link: Link, allocator: Allocator, now_s: float
    ) -> Tuple[Cohort, Optional[Arrival]]:
        began_s = self.began_s(state, None, now_s)
        first_s = min(began_s, state.latest_s)
        if not state.ready or first_s == math.inf:
            return state, None
        return state._replace(began_s=began_s), Arrival(first_s + state.lasts_s, state.ready[0])

    def arrived(self, state: Cohort, link: Link, arrival: Arrival) -> Cohort:
        return _without(state._replace(began_s=self.began_s(state, None, arrival.time_s)), arrival.ue)

    def began_s(self, state: Cohort, upload: Optional[Upload], now_s: float) -> float:
        if state.began_s < math.inf:
            return state.began_s
        if not state.coming:
            return min(now_s, state.latest_s)
        return state.latest_s if state.latest_s <= now_s else math.inf

    def sent_mbit(self, state: Cohort, link: Link, upload: Upload, now_s: float) -> float:
        return 0.0

    # Reception at the BS.

    def side_numbers(self, means: Sequence[float], variances: Sequence[float]) -> Tuple[float, float]:
        """mu and nu, by which all UEs scale, from the mean and the variance of each UE's numbers."""
        centre = float(np.mean(means))
        return centre, math.sqrt(float(np.mean(variances) + np.mean((np.array(means) - centre) ** 2)))

    def arriving(self, updates: Iterable[Update], air: Air) -> Iterator[Tuple[Update, complex]]:
        """Each update, with the factor by which the channel changes its UE's symbols."""
        for update in updates:
            yield update, self.residual(air.link.seed, update.ue, update.version)

    def listen(
        self, taken: Iterable[Taken], decode: Callable[[Taken], Optional[Update]], air: Air
    ) -> Iterator[Optional[Update]]:
        heard, seed = Heard(air, self.side_numbers), air.link.seed
        for update, left in self.arriving(filter(None, map(decode, taken)), air):
            heard.add(update, left)
        if not heard.updates:
            return
        air.told[SYMBOLS] = float(self.symbols(heard.numbers))
        loudest, version = max(heard.weights.values()), heard.updates[0].version
        if not loudest:
            return
        factors = {ue: weight / loudest for ue, weight in heard.weights.items() if weight}
        variance = self.noise_variance(seed, version, factors)
        std = heard.std() * math.sqrt(variance) / sum(factors.values())
        air.told[NOISE] = std
        noise = briefly(seed, "noise on the air", 0, version).standard_normal(heard.numbers) * std if std else None
        mean = heard.mean(noise)
        if not all_finite(mean.params):
            raise UserError(f"the noise on the air, {std:g} a number, is more than the model can hold")
        yield mean


class Heard:
    """The sum that the BS hears, added up update by update.

    The means are those of the aggregation rules, in float64, so without noise and residual the result is the same.

    Args:
        air: the round.
        side_numbers: function that returns mu and nu, given the means and variances of the UEs' numbers.
    """

    def __init__(
        self, air: Air, side_numbers: Callable[[Sequence[float], Sequence[float]], Tuple[float, float]]
    ) -> None:
        self._air = air
        self._side_numbers = side_numbers
        self._sums = {name: torch.zeros(one.shape, dtype=torch.float64) for name, one in air.current.items()}
        self.numbers = sum(one.numel() for one in air.current.values())
        self.weights: Dict[int, float] = {}
        # The models are left out.
        self.updates: List[Update] = []
        self._means: List[float] = []
        self._variances: List[float] = []
        # The error that residuals cause in each symbol, and in the constant that is not sent.
        self._astray: Any = 0.0
        self._astray_weight = 0.0 + 0.0j

    def add(self, update: Update, residual: complex) -> None:
        """Add a UE that sends, and the residual of its symbols."""
        weight = self._air.weight_of(update)
        assert weight is not None, "the aggregation rule is a mean"
        self.weights[update.ue] = weight
        self.updates.append(Update(update.ue, update.version, update.samples, {}, update.weight, update.steps))
        for name, tensor in self._sums.items():
            tensor.add_(update.params[name].double(), alpha=weight)
        sent = numbers_of(update, self._air)
        mean, variance = moments(sent)
        self._means.append(mean)
        self._variances.append(variance)
        if residual != 1:
            lost = weight * (residual - 1)
            self._astray = self._astray + lost * _symbols(sent)
            self._astray_weight += lost

    def std(self) -> float:
        """nu, one of the side numbers."""
        return self._side_numbers(self._means, self._variances)[1]

    def mean(self, noise: Optional[np.ndarray] = None) -> Update:
        """The BS's estimate from the sum: one update that replaces all.

        Args:
            noise: noise on each number, shape (numbers,); None for no noise.
        """
        total, wrong = sum(self.weights.values()), noise
        if self._astray_weight:
            centre, _ = self._side_numbers(self._means, self._variances)
            constant = _symbols(np.full(self.numbers, centre))
            astray = (self._astray - self._astray_weight * constant) / total
            wrong = _numbers(astray, self.numbers) + (0.0 if noise is None else noise)
        params: Params = {}
        begin = 0
        for name, like in self._air.current.items():
            tensor: Tensor = self._sums[name] / total
            if wrong is not None:
                part = wrong[begin : begin + like.numel()].reshape(tuple(like.shape))
                tensor = tensor + torch.from_numpy(np.array(part))
            params[name] = tensor.to(like.dtype)
            begin += like.numel()
        first, samples = self.updates[0], sum(one.samples for one in self.updates)
        return Update(first.ue, first.version, samples, params, 1.0, sum(one.steps for one in self.updates))


def gains(seed: int, ue: int, version: int, antennas: int) -> np.ndarray:
    """Rayleigh fading with E|h|^2 = 1 of a UE in a round, complex, shape (antennas,)."""
    real, imaginary = briefly(seed, "gain on the air", ue, version).standard_normal((antennas, 2)).T
    return (real + 1j * imaginary) / math.sqrt(2)


def _without(state: Cohort, ue: int) -> Cohort:
    coming, ready = (tuple(one for one in ues if one != ue) for ues in (state.coming, state.ready))
    return state._replace(coming=coming, ready=ready) if coming or ready else Cohort()


def numbers_of(update: Update, air: Air) -> np.ndarray:
    """All numbers that a UE is to send of its model, in the order of the global model, float64."""
    content = air.link.content(update.params, air.current)
    return np.concatenate([content[name].detach().double().numpy().reshape(-1) for name in air.current])


def moments(numbers: np.ndarray) -> Tuple[float, float]:
    """Mean and variance of numbers; 0 if there are none."""
    return (float(numbers.mean()), float(numbers.var())) if numbers.size else (0.0, 0.0)


def _symbols(numbers: np.ndarray) -> np.ndarray:
    """Two numbers per complex symbol; if their count is odd, the last quadrature is empty."""
    padded = np.append(numbers, np.zeros(len(numbers) % 2))
    return padded[0::2] + 1j * padded[1::2]


def _numbers(symbols: np.ndarray, count: int) -> np.ndarray:
    return np.stack([symbols.real, symbols.imag], axis=1).reshape(-1)[:count]
