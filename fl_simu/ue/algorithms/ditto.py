"""Ditto: each UE has its own model in addition to the global one."""

from dataclasses import dataclass
from typing import Mapping

from fl_simu.kernel.limits import require_factor
from fl_simu.ue.algorithms.base import GLOBAL, LocalAlgorithm, Tensors


@dataclass(frozen=True)
class Ditto(LocalAlgorithm):
    r"""Each UE also trains a personal model, which is pulled towards the global one and never sent.

    .. math:: v_u \leftarrow v_u - \eta (\nabla F_u(v_u) + \lambda (v_u - w_0))

    Here :math:`w_0` is the global model that the UE received. The personal model continues from its last state,
    with as many steps as the UE makes on the global model. It starts as the first global model that the UE
    receives. In each round its optimiser starts afresh, and its batches are drawn independently.

    The global model is trained as with `fedavg`, bit for bit. Training takes twice the compute time and energy;
    nothing more is sent. The meter `fairness` measures each UE's personal model; `accuracy` is that of the global
    model.

    Args:
        strength: :math:`\lambda`, 0 or more; the paper uses 0.1 to 2. With 0 a UE's personal model is trained on
            its data alone.

    Reference: Li, Hu, Beirami, Smith 2021, "Ditto: Fair and Robust Federated Learning Through Personalization".
    """

    personal = True

    strength: float = 0.1

    def __post_init__(self) -> None:
        require_factor("strength", self.strength, or_zero=True)

    def correction(
        self, params: Tensors, start: Tensors, memory: Mapping[str, Tensors], shared: Mapping[str, Tensors]
    ) -> Tensors:
        if GLOBAL not in shared:
            return {}
        return {name: (params[name] - shared[GLOBAL][name]) * self.strength for name in params}
