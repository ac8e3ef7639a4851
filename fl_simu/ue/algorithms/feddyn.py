"""FedDyn: dynamic regularisation makes the optima of all UEs agree."""

from dataclasses import dataclass
from typing import Mapping, Tuple

from fl_simu.kernel.limits import require_factor
from fl_simu.kernel.parameters import Params, zeros_of
from fl_simu.ue.algorithms.base import Finished, Groups, LocalAlgorithm, Round, Station, Tensors

GRADIENT, DRIFT = "gradient", "drift"


@dataclass(frozen=True)
class FedDyn(LocalAlgorithm):
    r"""Each UE's loss gets a linear and a quadratic term, which change from round to round.

    UE u steps along the gradient of :math:`F_u(w) - \langle g_u, w \rangle + \frac{\alpha}{2} \|w - w_0\|^2`,
    where :math:`w_0` is the global model. It ends the round with :math:`g_u' = g_u - \alpha (w_u - w_0)`. The BS
    keeps h and computes

    .. math:: h' = h - \frac{\alpha}{N} \sum_u (w_u - w_0), \quad w' = \bar w - \frac{1}{\alpha} h'

    from the uploads that it has accepted, where :math:`\bar w` is their mean and N the number of all UEs. g and h
    start at 0. Both stay where they are, so nothing travels with the models.

    With `aggregation = "plain_mean"` this is the paper's algorithm. For another rule, the sum is the number of
    uploads times the change that the rule's result makes. A UE updates its g even if its upload is lost. Without
    clipping and quantisation the fixed point is the true optimum, however unequal the UEs are.

    Args:
        alpha: :math:`\alpha`, above 0; the paper uses 0.01 to 0.1.

    Reference: Acar, Zhao, Matas, Mattina, Whatmough, Saligrama 2021, "Federated Learning Based on Dynamic
    Regularization".
    """

    alpha: float = 0.1

    remembers = True

    def __post_init__(self) -> None:
        require_factor("alpha", self.alpha)

    def start(self, model: Params) -> Groups:
        return {GRADIENT: zeros_of(model)}

    def station(self, model: Params) -> Station:
        return Station({}, {DRIFT: zeros_of(model)})

    def correction(
        self, params: Tensors, start: Tensors, memory: Mapping[str, Tensors], shared: Mapping[str, Tensors]
    ) -> Tensors:
        gradient = memory[GRADIENT]
        return {name: (params[name] - start[name]) * self.alpha - gradient[name] for name in params}

    def finish(self, work: Finished, memory: Groups, shared: Groups) -> Tuple[Groups, Groups]:
        moved = {
            name: gradient - (work.trained[name] - work.start[name]) * self.alpha
            for name, gradient in memory[GRADIENT].items()
        }
        return {}, {GRADIENT: moved}

    def gather(self, station: Station, round: Round) -> Tuple[Station, Params]:
        if not round.taken:
            return station, round.combined
        share = self.alpha * round.taken / round.ues
        drift = {
            name: before - (round.combined[name] - round.current[name]) * share
            for name, before in station.kept[DRIFT].items()
        }
        moved = {name: round.combined[name] - one / self.alpha for name, one in drift.items()}
        return Station({}, {DRIFT: drift}), {**round.combined, **moved}
