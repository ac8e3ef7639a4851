"""SCAFFOLD: control variates correct the drift of local steps."""

from dataclasses import dataclass
from typing import Mapping, Tuple

from fl_simu.kernel.errors import BadField
from fl_simu.kernel.parameters import Params, zeros_of
from fl_simu.ue.algorithms.base import Finished, Groups, LocalAlgorithm, Round, Station, Tensors
from fl_simu.ue.optimizers import Optimizer, Sgd

CONTROL = "control"


@dataclass(frozen=True)
class Scaffold(LocalAlgorithm):
    r"""Each UE corrects its gradient by the difference of two control variates.

    .. math:: y \leftarrow y - \eta (g_i(y) + c - c_i), \quad c_i' = c_i - c + \frac{x - y}{K \eta}

    Here x is the global model, y the local model after K steps of rate :math:`\eta`, :math:`c_i` the UE's control
    variate and c the BS's (option II of the paper). All variates start at 0. The UE sends :math:`c_i' - c_i` with
    its model, which doubles the uplink, and the BS sends c with the global model.

    The BS adds the differences that it has accepted to c, each divided by the number of all UEs. A UE updates its
    variate even if its upload is lost. With `aggregation = "plain_mean"` every UE has the same weight, as in the
    paper.

    It requires plain SGD, without momentum.

    Reference: Karimireddy, Kale, Mohri, Reddi, Stich, Suresh 2020, "SCAFFOLD: Stochastic Controlled Averaging for
    Federated Learning".
    """

    remembers = True

    def check(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Sgd) or optimizer.momentum:
            allowed = "its variates are of plain SGD steps; take optimizer sgd with momentum 0"
            raise BadField("algorithm.name", "scaffold", allowed)

    def start(self, model: Params) -> Groups:
        return {CONTROL: zeros_of(model)}

    def station(self, model: Params) -> Station:
        return Station({CONTROL: zeros_of(model)}, {})

    def message(self, model: Params) -> Groups:
        return {CONTROL: zeros_of(model)}

    def correction(
        self, params: Tensors, start: Tensors, memory: Mapping[str, Tensors], shared: Mapping[str, Tensors]
    ) -> Tensors:
        return {name: shared[CONTROL][name] - memory[CONTROL][name] for name in params}

    def finish(self, work: Finished, memory: Groups, shared: Groups) -> Tuple[Groups, Groups]:
        over = 1 / (max(work.steps, 1) * work.lr)
        moved = {name: (work.start[name] - work.trained[name]) * over - c for name, c in shared[CONTROL].items()}
        after = {name: own + moved[name] for name, own in memory[CONTROL].items()}
        return {CONTROL: moved}, {CONTROL: after}

    def gather(self, station: Station, round: Round) -> Tuple[Station, Params]:
        before = station.shared[CONTROL]
        total = {name: tensor.double() for name, tensor in before.items()}
        for message in round.messages:
            for name, tensor in message.groups[CONTROL].items():
                total[name] = total[name] + tensor.double() / round.ues
        after = {name: total[name].to(like.dtype) for name, like in before.items()}
        return Station({CONTROL: after}, {}), round.combined
