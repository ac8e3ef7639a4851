"""What a coordinator works with, and who looks on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable, Mapping, Sequence, Tuple

from fl_simu.backends.base import Backend
from fl_simu.kernel.parameters import Params
from fl_simu.results.records import RoundRecord
from fl_simu.station.aggregation import Aggregation
from fl_simu.station.evaluation import Evaluation
from fl_simu.station.protocols import Protocol
from fl_simu.uplink.link import Link

if TYPE_CHECKING:
    from fl_simu.coordinator import Coordinator


class Observer:
    """Is told what happens and decides nothing."""

    def fetched(self, ue: int) -> None:
        """The BS has fetched a UE's model."""

    def aggregated(self, record: RoundRecord, coordinator: "Coordinator") -> None:
        """A round has ended; the coordinator stands between two events."""


@dataclass(frozen=True)
class Setting:
    """Everything that stays as it is during a run.

    Args:
        seed: of every draw.
        rounds: number of aggregations.
        backend, link, protocol, aggregation: one part each.
        evaluate: accuracy and loss of a global model.
        draw: the UEs of the round that starts from a version.
        compute_s: virtual time that a UE trains, of (ue, version).
        samples: number of samples of each UE.
        observers: told of each round, in this order.
    """

    seed: int
    rounds: int
    backend: Backend
    link: Link
    protocol: Protocol
    aggregation: Aggregation
    evaluate: Callable[[Params], Evaluation]
    draw: Callable[[int], Tuple[int, ...]]
    compute_s: Callable[[int, int], float]
    samples: Mapping[int, int]
    observers: Sequence[Observer] = ()
