"""What a coordinator works with."""

from dataclasses import dataclass
from typing import Any, Callable, Iterable, Mapping, Optional

from fl_simu.backends.base import Backend
from fl_simu.kernel.parameters import Params
from fl_simu.station.aggregation.base import Aggregation
from fl_simu.station.evaluation import Evaluation
from fl_simu.station.protocols.base import Protocol
from fl_simu.station.selection.base import Selection
from fl_simu.station.server.base import ServerOptimizer
from fl_simu.uplink.link import Link


@dataclass(frozen=True)
class Setting:
    """Everything that stays as it is during a run.

    Args:
        seed: of every draw.
        rounds: number of aggregations.
        backend, link, protocol, aggregation, server, selection: one part each.
        evaluate: accuracy and loss of a global model.
        drawn: how many UEs work at a time: all of a round, or under an asynchronous protocol those under way.
        compute_s: virtual time that a UE trains, of (ue, version).
        works: whether a UE takes part in the round that it was drawn for, of (ue, version).
        samples: number of samples of each UE.
        measures: what a global model and the uploads of the UEs that were settled with it tell of an attack that
            the run is under; None where it is under none.
    """

    seed: int
    rounds: int
    backend: Backend
    link: Link
    protocol: Protocol
    aggregation: Aggregation
    evaluate: Callable[[Params], Evaluation]
    drawn: int
    compute_s: Callable[[int, int], float]
    works: Callable[[int, int], bool]
    samples: Mapping[int, int]
    server: ServerOptimizer
    selection: Selection
    measures: Callable[[Params, Iterable[int]], Optional[Mapping[str, Any]]] = lambda params, settled: None
