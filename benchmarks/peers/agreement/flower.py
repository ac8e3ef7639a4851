"""Flower's strategies: `Strategy.start` of flwr.serverapp, with clients that answer in this process.

Reference: Beutel et al. 2020, "Flower: A Friendly Federated Learning Research Framework".
"""

from importlib import import_module
from typing import Any, Dict, Iterable, List, Mapping, Optional

import numpy as np
import torch

from benchmarks.peers.agreement import problem as p
from fl_simu.kernel.parameters import Params

# This many rounds come before the first one that counts, so the bias correction of FedAdam is over.
LONG_AGO = 10**6


class Clients:
    """The grid interface of a strategy: the nodes and their replies. A client is plain torch and SGD."""

    def __init__(self, problem: p.Problem, drawn: int) -> None:
        self.problem, self.drawn, self.round = problem, drawn, 0

    def get_node_ids(self) -> List[int]:
        """Only the selected UEs of the round, so that Flower's own draw takes them all."""
        return [ue + 1 for ue in self.problem.drawn(self.round, self.drawn)]

    def send_and_receive(self, messages: Iterable[Any], timeout: Optional[float] = None) -> List[Any]:
        """The replies, in the order of the UEs, whatever order Flower draws them in."""
        messages = sorted(messages, key=lambda message: message.metadata.dst_node_id)
        replies = [self.train(message) for message in messages]
        self.round += 1 if replies else 0
        return replies

    def train(self, message: Any) -> Any:
        """A client's round."""
        from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict

        ue, module = message.metadata.dst_node_id - 1, p.module()
        module.load_state_dict(message.content["arrays"].to_torch_state_dict())
        optimizer = torch.optim.SGD(module.parameters(), lr=p.LR)
        for images, labels in self.problem.batches(ue, self.round):
            optimizer.zero_grad()
            p.MODEL.loss(module(images), labels).backward()
            optimizer.step()
        metrics = MetricRecord({"num-examples": p.SAMPLES[ue], "one": 1})
        return Message(
            content=RecordDict({"arrays": ArrayRecord(module.state_dict()), "metrics": metrics}), reply_to=message
        )


def run(
    problem: p.Problem,
    drawn: int,
    strategy: str,
    arguments: Mapping[str, Any],
    v_0: Optional[float] = None,
    late: bool = False,
) -> List[Params]:
    """The global model after each round.

    Args:
        drawn: UEs per round.
        strategy: name of the class in flwr.serverapp.strategy.
        arguments: the arguments of its constructor.
        v_0: initial value of every entry of its second moment; if None, Flower's own 0.
        late: whether to tell the strategy that there were `LONG_AGO` rounds before.
    """
    from flwr.app import ArrayRecord, MetricRecord
    from flwr.common.constant import SUPERLINK_NODE_ID
    from flwr.supercore.task_identity import TaskIdentity

    # Set as in Flower's own runners for the process of a ServerApp; messages carry it.
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, SUPERLINK_NODE_ID
    kind: Any = getattr(import_module("flwr.serverapp.strategy"), strategy)

    class Late(kind):
        def aggregate_train(self, server_round: int, replies: Any) -> Any:
            return super().aggregate_train(server_round + LONG_AGO, replies)

    everybody = {"fraction_evaluate": 0.0, "min_train_nodes": drawn, "min_available_nodes": drawn}
    server = (Late if late else kind)(**everybody, **arguments)
    if v_0 is not None:
        server.v_t = {name: np.full(one.shape, v_0, np.float32) for name, one in problem.initial.items()}
    models: Dict[int, Params] = {}

    def keep(round: int, arrays: Any) -> Any:
        models[round] = {name: tensor.clone() for name, tensor in arrays.to_torch_state_dict().items()}
        return MetricRecord()

    server.start(
        grid=Clients(problem, drawn),
        initial_arrays=ArrayRecord(problem.initial),
        num_rounds=problem.rounds,
        evaluate_fn=keep,
    )
    return [models[round + 1] for round in range(problem.rounds)]
