"""Messages between the packages: updates, events for the protocol, and the actions that it returns.

Events and actions are immutable plain data, so that tests can list them in tables and checkpoints can store them
as JSON. They are named tuples because each upload creates several, and a frozen dataclass takes three times as
long to create. The class of a message says what it is.
"""

from dataclasses import dataclass
from typing import Dict, NamedTuple, Tuple, Union

from fl_simu.kernel.parameters import Params

# At equal times an arrival comes before a timer: an upload that arrives at the deadline is in time.
ARRIVAL, TIMER = 0, 1


class Ready(NamedTuple):
    """The BS has a new global model and may send it.

    Args:
        time_s: virtual time.
        version: number of aggregations behind that model; 0 is the initial one.
        ues: the selected UEs, all idle, in the order of selection. They are selected when the event occurs, not
            when it is scheduled.
    """

    time_s: float
    version: int
    ues: Tuple[int, ...] = ()


class UploadStarted(NamedTuple):
    """A UE has finished training on `version` and begins to send on the uplink that the BS granted."""

    time_s: float
    ue: int
    version: int


class LayerArrived(NamedTuple):
    """Layer `layer` (0 is the base) of `layers` has arrived completely at the BS."""

    time_s: float
    ue: int
    version: int
    layer: int
    layers: int


class Due(NamedTuple):
    """The next layer of a UE on a shared medium has arrived, if the plan with this number is still valid."""

    time_s: float
    plan: int
    ue: int


class UploadRefused(NamedTuple):
    """The BS received a model that it cannot use (NaN or infinite numbers, another structure). Nothing more
    arrives from that UE."""

    time_s: float
    ue: int
    version: int


class LayerLost(NamedTuple):
    """Layer `layer` (0 is the base) would have arrived now but was lost on the air. Nothing more of that upload
    arrives. The layers before it can be taken."""

    time_s: float
    ue: int
    version: int
    layer: int


class UploadSkipped(NamedTuple):
    """A UE has finished training on `version` and reports that it does not send: its model moved too little, or
    the medium does not let it."""

    time_s: float
    ue: int
    version: int


class Woke(NamedTuple):
    """A timer of the protocol has expired; `ue` and `version` are those of its `WakeAt`."""

    time_s: float
    ue: int
    version: int


class Broadcast(NamedTuple):
    """Send the global model to these UEs, let them train, and schedule their uploads.

    Uploads with the same arrival time arrive in the order of `ues`.
    """

    ues: Tuple[int, ...]


class WakeAt(NamedTuple):
    """Wake the protocol at a time; `ue` is -1 for a timer of the complete round."""

    time_s: float
    version: int
    ue: int = -1


class Taken(NamedTuple):
    """An upload that the BS accepts: its first `layers` layers, with an extra weight."""

    ue: int
    layers: int
    weight: float = 1.0


class Aggregate(NamedTuple):
    """Make a new global model from the uploads taken, and discard the rejected uploads.

    An upload in none of the three lists stays in flight.

    Args:
        taken: the accepted uploads.
        rejected: UEs whose uploads are discarded.
        repeated: UEs that did not send; their last accepted uploads are used instead.
    """

    taken: Tuple[Taken, ...]
    rejected: Tuple[int, ...] = ()
    repeated: Tuple[int, ...] = ()

    def layers(self) -> Dict[int, int]:
        """The number of layers taken of each settled upload; 0 for uploads that were rejected or never sent."""
        none = dict.fromkeys(self.rejected + self.repeated, 0)
        return {**none, **{choice.ue: choice.layers for choice in self.taken}}


Event = Union[Ready, UploadStarted, LayerArrived, LayerLost, UploadRefused, UploadSkipped, Woke]
# The entries of the clock. A protocol receives a `LayerArrived` for a `Due`.
Scheduled = Union[Event, Due]
Action = Union[Broadcast, WakeAt, Aggregate]


@dataclass(frozen=True)
class Update:
    """The result of one UE's training, as decoded at the BS.

    Args:
        ue: index of the UE.
        version: version of the global model it started from.
        samples: number of samples that it trained on.
        params: its model (never the difference), decoded from the layers that were taken.
        weight: extra weight: the protocol's (1 unless it discounts stale updates) times the selection's (1 unless
            it sets weights).
        steps: number of its local steps, at least 1.
    """

    ue: int
    version: int
    samples: int
    params: Params
    weight: float = 1.0
    steps: int = 1
