"""FedProx: local steps with a pull towards the global model."""

from dataclasses import dataclass
from typing import Mapping

from fl_simu.kernel.limits import require_factor
from fl_simu.ue.algorithms.base import LocalAlgorithm, Tensors


@dataclass(frozen=True)
class FedProx(LocalAlgorithm):
    r"""A proximal term keeps each UE near the global model.

    Each step follows the gradient of :math:`F_u(w) + \frac{\mu}{2} \|w - w_0\|^2`, that is :math:`\nabla F_u(w) +
    \mu (w - w_0)`, where :math:`w_0` is the global model that the UE received. So UEs with dissimilar data stay
    near it.

    Args:
        mu: :math:`\mu`, 0 or more; the paper tries 0.001 to 1. With 0 the result is that of `fedavg`.

    Reference: Li, Sahu, Zaheer, Sanjabi, Talwalkar, Smith 2020, "Federated Optimization in Heterogeneous
    Networks".
    """

    mu: float = 0.01

    def __post_init__(self) -> None:
        require_factor("mu", self.mu, or_zero=True)

    @property
    def corrects(self) -> bool:
        return self.mu > 0

    def correction(
        self, params: Tensors, start: Tensors, memory: Mapping[str, Tensors], shared: Mapping[str, Tensors]
    ) -> Tensors:
        return {name: (params[name] - start[name]) * self.mu for name in params}
