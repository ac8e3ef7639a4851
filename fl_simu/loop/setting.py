"""What a coordinator works with."""

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

# What a global model and what UEs have sent, of those settled with it, tell of an attack.
Measures = Callable[[Params, Mapping[int, Params]], Mapping[str, Any]]


@dataclass(frozen=True)
class Setting:
    """Everything that stays as it is during a run.

    Args:
        seed: of every draw.
        rounds: number of aggregations.
        drawn: how many UEs work at a time: all of a round, or under an asynchronous protocol those under way.
        full: what each UE trains in a round if it makes all steps.
        work: how many of them it makes.
        evaluate: accuracy and loss of a global model.
        aside: begins to find them while UEs train, and gives what waits for them; None where nobody does.
        accuracies: on each UE's own training samples, of a global model, or of the UE's own one where it has one.
        evaluate_every: that is done after so many rounds, and after the last one.
        stop: when the run ends before its last round.
        loss_of: mean loss of a whole model on a UE's own training samples.
        losses_of: the same of each sample, shape (samples,).
        link: the uplink of every UE.
        downlink: the link of the global model to every UE; None where it is there at once.
        downlink_codec: what the BS sends of it.
        cast: which UEs share a copy.
        chain: the transforms of every UE.
        secure: what hides single updates from the BS.
        privacy: what protects the UEs.
        meters: what is measured besides.
        measures: of the attack that the run is under; None where it is under none.
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
        """How many models a UE trains in a round, one after the other."""
        return 1 + self.algorithm.personal

    @property
    def samples(self) -> Mapping[int, int]:
        """Number of samples of each UE."""
        if "_samples" not in self.__dict__:
            object.__setattr__(self, "_samples", {ue: work.samples for ue, work in self.full.items()})
        return self.__dict__["_samples"]

    @property
    def places(self) -> int:
        """A number above those of all UEs, which at an edge are some of all."""
        return 1 + max(self.full)
