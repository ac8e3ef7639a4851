"""Rules that tolerate some UEs that send arbitrary updates (Byzantine UEs)."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Iterable, List, NamedTuple, Optional, Sequence

import torch
from torch import Tensor

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import MOST, require_count, require_factor
from fl_simu.kernel.messages import Update
from fl_simu.kernel.parameters import Params, floating_of
from fl_simu.station.aggregation.base import Aggregation, as_dtype_of

# Number of elements, over all models, that are merged at a time.
AT_ONCE = 2**20


class Models(NamedTuple):
    """The input of a robust rule.

    Fields:
        rows: the models, float64, shape (n, d), in the order of the UEs.
        current: the global model so far, shape (d,).
        kernels: which of the d elements belong to a tensor of two or more dimensions (weights, not biases).
        claims: number of samples times the protocol's weight, shape (n,).
    """

    rows: Tensor
    current: Tensor
    kernels: Tensor
    claims: Tensor


class Robust(Aggregation):
    """A robust rule, which tolerates f Byzantine UEs of n, whatever these send.

    It takes the floating-point tensors of a model as one vector, in float64. Each update has the same weight,
    whatever its number of samples (except under `norm_bound`). Integer tensors are the coordinate-wise median,
    rounded. If fewer updates arrive than a rule needs, it keeps the global model; an experiment that never selects
    so many UEs is refused. The breakdown point is the share of Byzantine updates from which on they can move the
    result arbitrarily far; that of a mean is 0.

    Class attributes:
        by_columns: whether each element of the result depends only on the same element of the models. Elements are
            then merged in parts, which needs little memory in addition to the models as they were sent.
    """

    compares = True
    by_columns: ClassVar[bool] = False

    @abstractmethod
    def merge(self, models: Models) -> Tensor:
        """The new global model as a vector, shape (d,), from at least `fewest()` models."""

    def combine(self, current: Params, updates: Iterable[Update], drawn: int) -> Params:
        floating = floating_of(current)
        wide = any(tensor.dtype == torch.float64 for tensor in floating.values())
        dtype = torch.float64 if wide else torch.float32
        vectors: List[Tensor] = []
        claims: List[float] = []
        others: List[Params] = []
        for update in updates:
            vectors.append(_vector(update.params, floating, dtype))
            claims.append(update.samples * update.weight)
            others.append({name: tensor for name, tensor in update.params.items() if name not in floating})
        if len(vectors) < self.fewest():
            return current
        merged = self._merged(current, floating, vectors, torch.tensor(claims, dtype=torch.float64))
        lengths = [tensor.numel() for tensor in floating.values()]
        parts = dict(zip(floating, merged.split(lengths)))
        return {
            name: as_dtype_of(
                like, parts[name].view(like.shape) if name in parts else _middle([one[name] for one in others])
            )
            for name, like in current.items()
        }

    def _merged(self, current: Params, floating: Params, vectors: Sequence[Tensor], claims: Tensor) -> Tensor:
        kernels = {name: torch.full_like(tensor, tensor.dim() >= 2) for name, tensor in floating.items()}
        centre, kernel = (_vector(one, floating, torch.float64) for one in (current, kernels))
        whole = max(len(centre), 1)
        step = max(AT_ONCE // len(vectors), 1) if self.by_columns else whole
        parts = []
        for start in range(0, whole, step):
            some = slice(start, start + step)
            rows = torch.stack([vector[some].double() for vector in vectors])
            parts.append(self.merge(Models(rows, centre[some], kernel[some] > 0, claims)))
        return torch.cat(parts)


def _vector(params: Params, names: Iterable[str], dtype: torch.dtype) -> Tensor:
    return torch.cat([torch.zeros(0, dtype=dtype), *(params[name].to(dtype).reshape(-1) for name in names)])


def _middle(tensors: Iterable[Tensor]) -> Tensor:
    return coordinate_median(torch.stack([tensor.double() for tensor in tensors]))


def coordinate_median(rows: Tensor) -> Tensor:
    """The median along the first axis; for an even number of values, the mean of the middle two."""
    ordered = rows.sort(dim=0)[0]
    return (ordered[(len(rows) - 1) // 2] + ordered[len(rows) // 2]) / 2


def _require_byzantine(value: int) -> None:
    require(0 <= value <= MOST, "byzantine", value, f"0 or more, at most {MOST}")


def krum_scores(rows: Tensor, byzantine: int, power: int = 2) -> Tensor:
    """For each row, the sum of its distances, raised to a power, to its n - f - 2 nearest others, shape (n,)."""
    distances = torch.stack([(rows - row).pow(2).sum(dim=1) for row in rows])
    distances = distances if power == 2 else distances.sqrt()
    # The nearest of all is the row itself.
    return distances.sort(dim=1)[0][:, 1 : len(rows) - byzantine - 1].sum(dim=1)


@dataclass(frozen=True)
class Krum(Robust):
    r"""The single update that is closest to its neighbours.

    .. math:: \arg\min_i s_i, \quad s_i = \sum_{j \in N_i} \|x_i - x_j\|^2,

    where N_i are the n - f - 2 other updates closest to x_i. Of equal scores the UE with the lowest index wins. It
    tolerates f of n updates if n >= 2 f + 3, and keeps the current model if fewer arrive. So the breakdown point
    is (n - 3) / 2 of n.

    Args:
        byzantine: f, the number of Byzantine UEs to tolerate, 0 or more; 2 f + 3 is at most the number of UEs in a
            round.

    Reference: Blanchard, El Mhamdi, Guerraoui, Stainer 2017, "Machine Learning with Adversaries: Byzantine
    Tolerant Gradient Descent".
    """

    byzantine: int = 1

    def __post_init__(self) -> None:
        _require_byzantine(self.byzantine)

    def fewest(self) -> int:
        return 2 * self.byzantine + 3

    def merge(self, models: Models) -> Tensor:
        return models.rows[int(krum_scores(models.rows, self.byzantine).argmin())]


@dataclass(frozen=True)
class KrumUnsquared(Krum):
    """The published poisoning code's Krum, a quirk: distances not squared, over weights without biases.

    Weights are the tensors of two or more dimensions. The complete update is selected. Far outliers among the
    neighbours count less than in Krum; no breakdown point is proved. Use `krum` for Krum.

    Reference: the code of Bhagoji, Chakraborty, Mittal, Calo 2019, "Analyzing Federated Learning through an
    Adversarial Lens".
    """

    def merge(self, models: Models) -> Tensor:
        scores = krum_scores(models.rows[:, models.kernels], self.byzantine, power=1)
        return models.rows[int(scores.argmin())]


@dataclass(frozen=True)
class MultiKrum(Krum):
    """The mean of the updates with the best Krum scores.

    The breakdown point is that of Krum.

    Args:
        take: number of best updates to average, 1 or more and at most the number of UEs in a round; n - f if not
            given.

    Reference: Blanchard et al. 2017, section 4.
    """

    take: Optional[int] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.take is None or 1 <= self.take <= MOST, "take", self.take, f"at least 1, at most {MOST}")

    def fewest(self) -> int:
        return max(super().fewest(), self.take or 0)

    def merge(self, models: Models) -> Tensor:
        order = krum_scores(models.rows, self.byzantine).argsort()
        take = self.take or len(models.rows) - self.byzantine
        return models.rows.index_select(0, order[:take]).mean(dim=0)


@dataclass(frozen=True)
class Median(Robust):
    """The coordinate-wise median; of an even number of updates, the mean of the middle two.

    Breakdown point 1/2.

    Reference: Yin, Chen, Ramchandran, Bartlett 2018, "Byzantine-Robust Distributed Learning: Towards Optimal
    Statistical Rates".
    """

    by_columns = True

    def merge(self, models: Models) -> Tensor:
        return coordinate_median(models.rows)


@dataclass(frozen=True)
class TrimmedMean(Robust):
    """The coordinate-wise mean without the f largest and the f smallest values.

    It tolerates f of n updates if n >= 2 f + 1, and keeps the current model if fewer arrive: breakdown point f /
    n.

    Args:
        byzantine: f, 0 or more; 2 f + 1 is at most the number of UEs in a round.

    Reference: Yin et al. 2018.
    """

    byzantine: int = 1

    def __post_init__(self) -> None:
        _require_byzantine(self.byzantine)

    def fewest(self) -> int:
        return 2 * self.byzantine + 1

    by_columns = True

    def merge(self, models: Models) -> Tensor:
        ordered = models.rows.sort(dim=0)[0]
        return ordered[self.byzantine : len(ordered) - self.byzantine].mean(dim=0)


@dataclass(frozen=True)
class GeometricMedian(Robust):
    r"""The point with the smallest sum of distances to the updates, by smoothed Weiszfeld steps.

    .. math:: v \leftarrow \frac{\sum_i x_i / d_i}{\sum_i 1 / d_i}, \quad d_i = \max(\nu, \|v - x_i\|)

    starting from the coordinate-wise median, until a step is shorter than :math:`\nu`. Breakdown point 1/2.

    Args:
        smoothing: :math:`\nu`, the smallest distance that counts, above 0; a shorter step ends the search.
        iterations: maximum number of steps, 1 or more.

    Reference: Pillutla, Kakade, Harchaoui 2022, "Robust Aggregation for Federated Learning".
    """

    smoothing: float = 1e-6
    iterations: int = 100

    def __post_init__(self) -> None:
        require_factor("smoothing", self.smoothing)
        require_count("iterations", self.iterations)

    def merge(self, models: Models) -> Tensor:
        point = coordinate_median(models.rows)
        for _ in range(self.iterations):
            pull = 1 / (models.rows - point).norm(dim=1).clamp(min=self.smoothing)
            last, point = point, (pull.view(-1, 1) * models.rows).sum(dim=0) / pull.sum()
            if float((point - last).norm()) < self.smoothing:
                break
        return point


def clipped(rows: Tensor, centre: Tensor, radius: float) -> Tensor:
    """The difference of each row from the centre, shortened to at most the radius, shape (n, d)."""
    moves = rows - centre
    # A row at the centre has no direction, and need not be shortened.
    lengths = moves.norm(dim=1, keepdim=True).clamp(min=radius)
    return moves * (radius / lengths)


@dataclass(frozen=True)
class CentredClipping(Robust):
    r"""Moves by the mean of the differences from the current point, each clipped to a radius.

    .. math:: v \leftarrow v + \frac{1}{n} \sum_i (x_i - v) \min(1, \tau / \|x_i - v\|)

    starting from the current model. f updates move the result by at most :math:`2 f \tau / n` per iteration,
    however large they are, so that none moves it arbitrarily far in a round. Convergence is proved for shares up
    to 0.1.

    Args:
        radius: :math:`\tau`, the maximum norm of a difference over all its elements, above 0.
        iterations: number of moves, 1 or more.

    Reference: Karimireddy, He, Jaggi 2021, "Learning from History for Byzantine Robust Optimization".
    """

    radius: float = 1.0
    iterations: int = 3

    def __post_init__(self) -> None:
        require_factor("radius", self.radius)
        require_count("iterations", self.iterations)

    def merge(self, models: Models) -> Tensor:
        point = models.current
        for _ in range(self.iterations):
            point = point + clipped(models.rows, point, self.radius).mean(dim=0)
        return point


@dataclass(frozen=True)
class NormBound(Robust):
    """FedAvg's mean, weighted by samples, of updates clipped to a radius.

    An update moves the global model by at most its share of the radius, however large it is. So there is no
    breakdown point in a single round, but an attacker can still move the model a little in each round.

    Args:
        radius: maximum norm of an update over all its elements, above 0.

    Reference: Sun, Kairouz, Suresh, McMahan 2019, "Can You Really Backdoor Federated Learning?".
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        require_factor("radius", self.radius)

    def merge(self, models: Models) -> Tensor:
        shares = models.claims / models.claims.sum()
        return models.current + shares @ clipped(models.rows, models.current, self.radius)
