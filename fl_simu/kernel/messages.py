"""What the rooms tell one another: updates, events for the protocol, and the actions it answers with.

Events and actions are immutable and hold plain data only, so that a test can be a table of them and a checkpoint
can hold them as JSON. They are named tuples, since each upload makes several and a frozen dataclass takes three
times as long to make; what one is, its class says.
"""

from dataclasses import dataclass
from typing import Dict, NamedTuple, Tuple, Union

from fl_simu.kernel.parameters import Params

# Of events at the same moment an arrival comes before a timer: what arrives at the deadline is in time.
ARRIVAL, TIMER = 0, 1


class Ready(NamedTuple):
    """The BS holds a new global model and may hand it out.

    Args:
        time_s: virtual time.
        version: number of aggregations behind that model; 0 is the initial one.
        ues: the UEs that are to be handed it, idle ones, in the order in which they were selected. They are
            selected when the event happens, not when it is foreseen.
    """

    time_s: float
    version: int
    ues: Tuple[int, ...] = ()


class UploadStarted(NamedTuple):
    """A UE has finished training on `version` and begins to send, on the uplink that the BS granted."""

    time_s: float
    ue: int
    version: int


class LayerArrived(NamedTuple):
    """Layer number `layer` (0 is the base) of `layers` has arrived whole at the BS."""

    time_s: float
    ue: int
    version: int
    layer: int
    layers: int


class Due(NamedTuple):
    """The next layer of a UE on a shared medium has arrived, if the plan of this number still holds."""

    time_s: float
    plan: int
    ue: int


class UploadRefused(NamedTuple):
    """The BS received a model that it cannot use (NaN or infinite numbers, another structure); nothing more comes
    from that UE."""

    time_s: float
    ue: int
    version: int


class LayerLost(NamedTuple):
    """Layer number `layer` (0 is the base) would have arrived now and is lost on the air; nothing more comes of
    that upload. What has arrived before it can be taken."""

    time_s: float
    ue: int
    version: int
    layer: int


class UploadSkipped(NamedTuple):
    """A UE has finished training on `version` and says that it does not send: its model moved too little, or the
    medium does not let it."""

    time_s: float
    ue: int
    version: int


class Woke(NamedTuple):
    """A timer that the protocol set has run out; `ue` and `version` are what it gave."""

    time_s: float
    ue: int
    version: int


class Broadcast(NamedTuple):
    """Send the global model to these UEs, let them train, and schedule their uploads.

    Of uploads that arrive at the same moment, that of the UE which is named first here arrives first.
    """

    ues: Tuple[int, ...]


class WakeAt(NamedTuple):
    """Wake the protocol at a time; `ue` is -1 for a timer of the whole round."""

    time_s: float
    version: int
    ue: int = -1


class Taken(NamedTuple):
    """An upload that the BS accepts: the first `layers` layers of what the UE sent, with an extra weight."""

    ue: int
    layers: int
    weight: float = 1.0


class Aggregate(NamedTuple):
    """Make a new global model of the uploads taken; give up the rejected ones.

    An upload that is in none of the three lists stays under way.

    Args:
        taken: what is accepted of which upload.
        rejected: UEs whose uploads are given up.
        repeated: UEs that did not send, for whom their last accepted upload stands in.
    """

    taken: Tuple[Taken, ...]
    rejected: Tuple[int, ...] = ()
    repeated: Tuple[int, ...] = ()

    def layers(self) -> Dict[int, int]:
        """How many layers of each settled upload are taken; 0 for those given up and those never sent."""
        none = dict.fromkeys(self.rejected + self.repeated, 0)
        return {**none, **{choice.ue: choice.layers for choice in self.taken}}


Event = Union[Ready, UploadStarted, LayerArrived, LayerLost, UploadRefused, UploadSkipped, Woke]
# What waits in the clock; of `Due` a protocol hears as `LayerArrived`.
Scheduled = Union[Event, Due]
Action = Union[Broadcast, WakeAt, Aggregate]


@dataclass(frozen=True)
class Update:
    """What one UE offers after training, as decoded at the BS.

    Args:
        ue: index of the UE.
        version: version of the global model it started from.
        samples: number of samples that it trained on.
        params: its model (never the difference), from the layers that were taken.
        weight: extra weight: of the protocol, 1 unless it discounts stale updates, times that of the selection, 1
            unless it tells weights.
        steps: number of its local steps, at least 1.
    """

    ue: int
    version: int
    samples: int
    params: Params
    weight: float = 1.0
    steps: int = 1
