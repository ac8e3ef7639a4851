"""The parts and constants of a coordinator."""

from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Optional, Tuple

import numpy as np

from fl_simu.experiment import Stopping
from fl_simu.kernel.parameters import Params
from fl_simu.meters.base import Meter
from fl_simu.privacy.base import Mechanism, NoPrivacy
from fl_simu.privacy.secure import NoSecureAggregation, SecureAggregation
from fl_simu.radio.allocation.base import Allocator, Equal
from fl_simu.radio.bits import BitRule
from fl_simu.radio.codecs.base import Codec
from fl_simu.radio.downlink import AS_IT_IS, Cast, Unicast
from fl_simu.radio.link import Link
from fl_simu.radio.media.base import Medium, Orthogonal
from fl_simu.station.aggregation.base import Aggregation
from fl_simu.station.evaluation import Evaluation
from fl_simu.station.protocols.base import Protocol
from fl_simu.station.selection.base import Selection
from fl_simu.station.server.base import ServerOptimizer
from fl_simu.ue.algorithms.base import LocalAlgorithm
from fl_simu.ue.compute import Compute
from fl_simu.ue.faults import Faults
from fl_simu.ue.transforms.base import Chain
from fl_simu.ue.work import FullWork, LocalWork, Work

# Measures an attack from a global model and the models in the uploads settled with it.
Measures = Callable[[Params, Mapping[int, Params]], Mapping[str, Any]]


@dataclass(frozen=True)
class Setting:
    """Everything that does not change during a run.

    Args:
        seed: of every draw.
        rounds: number of aggregations.
        drawn: number of UEs at work at a time: those of a round, or with an asynchronous protocol those in flight.
        full: each UE's work in a round if it makes all steps.
        work: decides how many of these steps it makes.
        evaluate: accuracy and loss of a global model.
        aside: starts this evaluation while UEs train, and returns a function that waits for it; None if no process
            can do that.
        accuracies: on each UE's own training samples, with the global model or the UE's own model if it has one.
        evaluate_every: number of rounds from one evaluation to the next; the last round is always evaluated.
        stop: when the run ends before its last round.
        loss_of: mean loss of a complete model on a UE's own training samples.
        losses_of: the loss of each of these samples, shape (samples,).
        link: the uplink of every UE.
        downlink: the link of the global model to every UE; None if the model arrives at once.
        downlink_codec: encodes the global model for the downlink.
        cast: decides which UEs share a copy.
        chain: the transforms of every UE.
        secure: hides single updates from the BS.
        privacy: protects the UEs.
        meters: additional measurements.
        measures: of the attack on the run; None without an attack.
    """

    seed: int
    rounds: int
    drawn: int
    full: Mapping[int, Work]
    algorithm: LocalAlgorithm
    evaluate: Callable[[Params], Evaluation]
    accuracies: Callable[[Params, Mapping[int, Params]], np.ndarray]
    link: Link
    protocol: Protocol
    aggregation: Aggregation
    server: ServerOptimizer
    selection: Selection
    compute: Compute
    faults: Faults
    bits: BitRule
    work: LocalWork = field(default_factory=FullWork)
    loss_of: Callable[[Params, int], float] = lambda params, ue: 0.0
    losses_of: Callable[[Params, int], np.ndarray] = lambda params, ue: np.zeros(0)
    downlink: Optional[Link] = None
    downlink_codec: Codec = AS_IT_IS
    cast: Cast = field(default_factory=Unicast)
    medium: Medium = field(default_factory=Orthogonal)
    allocator: Allocator = field(default_factory=Equal)
    chain: Chain = field(default_factory=Chain)
    secure: SecureAggregation = field(default_factory=NoSecureAggregation)
    privacy: Mechanism = field(default_factory=NoPrivacy)
    meters: Tuple[Meter, ...] = ()
    measures: Optional[Measures] = None
    evaluate_every: int = 1
    aside: Optional[Callable[[Params], Callable[[], Evaluation]]] = None
    stop: Stopping = field(default_factory=Stopping)

    @property
    def models(self) -> int:
        """Number of models that a UE trains in a round, one after the other."""
        return 1 + self.algorithm.personal

    @property
    def samples(self) -> Mapping[int, int]:
        """Number of samples of each UE."""
        if "_samples" not in self.__dict__:
            object.__setattr__(self, "_samples", {ue: work.samples for ue, work in self.full.items()})
        return self.__dict__["_samples"]

    @property
    def places(self) -> int:
        """Length of an array indexed by UE: the largest number of a UE plus 1 (an edge has only some UEs)."""
        return 1 + max(self.full)
