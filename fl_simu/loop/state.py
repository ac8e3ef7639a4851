"""Everything that decides the rest of a run, as one tree of plain data and tensors.

The loop works on it, and a checkpoint is a copy of it. It omits what follows from the rest: a trained model that
is not fetched yet follows from the model that its UE received, the UE's key, and the UE's memory.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor

from fl_simu.kernel.messages import Scheduled, Update
from fl_simu.kernel.parameters import Params
from fl_simu.radio.bits import Memory
from fl_simu.radio.link import Layer, Upload
from fl_simu.ue.algorithms.base import Groups, Station
from fl_simu.ue.work import Work


@dataclass
class Flight:
    """One upload in flight, from the moment its UE gets the model until the BS takes it or gives it up.

    Args:
        upload: what its UE is sending, or will send after training.
        start: the global model that the UE received.
        cohort: number of the broadcast that sent it.
        work: the UE's local work.
        download: the copy of the global model on the downlink, for this UE alone or for several UEs; None if the
            downlink is free.
        shared: what the BS sent along with the model; None if nothing.
        layers: the encoded layers that the BS has fetched; empty before.
        content: the update in these layers, after the chain of transforms; None without transforms.
        memories: the memories of the transforms if the BS takes something of the upload.
        sent: the model in the upload if an attack is measured, otherwise None.
        refusal: why nothing of the upload will be taken, if that is known before it is settled.
        handed_s: when the BS sent the model.
        weight: the selection's weight of the update.
        airtime_s: how long its UE was on the air, if its last layer has arrived on a shared medium.
        transmits_w: the UE's transmit power [W], if such a medium reports it, otherwise None.
    """

    upload: Upload
    start: Params
    cohort: int
    work: Work
    download: Optional[Upload] = None
    shared: Optional[Groups] = None
    layers: Tuple[Layer, ...] = ()
    content: Optional[Params] = None
    memories: Tuple[Any, ...] = ()
    sent: Optional[Params] = None
    refusal: str = ""
    handed_s: float = 0.0
    weight: float = 1.0
    airtime_s: float = 0.0
    transmits_w: Optional[float] = None


@dataclass
class UeMemory:
    """The memory of a UE from round to round, and the BS's memory of the UE.

    Args:
        training: of its optimiser.
        algorithm: of the local algorithm, by group; empty before its first round.
        own: its local layers, or its own model; empty before its first round, and if it has none.
        transforms: of each transform in the chain; empty before its first upload that was taken.
        attack: of a malicious UE.
        uploads: of the rates of its uploads.
        accepted: its last accepted upload as the BS decoded it, if the BS may use it again.
        energy: the faults' account of the energy that it has spent; None if it never received the model.
    """

    training: Params = field(default_factory=dict)
    algorithm: Groups = field(default_factory=dict)
    own: Params = field(default_factory=dict)
    transforms: Tuple[Any, ...] = ()
    attack: Any = None
    uploads: Memory = field(default_factory=Memory)
    accepted: Optional[Update] = None
    energy: Any = None


class Before(NamedTuple):
    """What determines a UE's training in a round, in addition to the model that it receives.

    Args:
        steps: number of its steps; None for all steps that its data give.
        training: the memory of its optimiser.
        algorithm: the memory of the local algorithm.
        own: its local layers, or its own model.
    """

    steps: Optional[int]
    training: Params
    algorithm: Groups
    own: Params


class Copy(NamedTuple):
    """One copy of the global model that is sent to several UEs at once.

    Args:
        cohort: number of the broadcast.
        ues: the UEs that receive it.
        download: of the first of them.
        charged: its bits that are already in the records of rounds.
    """

    cohort: int
    ues: Tuple[int, ...]
    download: Upload
    charged: int = 0


@dataclass
class RunState:
    """The state of a run between two events.

    Args:
        model: the global model, without the layers that stay at the UEs.
        version: number of aggregations behind it.
        protocol, selection, server, medium, privacy: the states of these parts; the protocol's is None before the
            first event.
        ues: the memories of the UEs that have one.
        station: what the BS has in addition to the model, for the local algorithm.
        flights: the uploads in flight, by UE.
        begun: number of broadcasts so far.
        sent_down: version of the global model in the last broadcast; -1 before the first.
        copies: copies shared by several UEs, of which at least one is still at work.
        sealing: the UEs of the last broadcast, in order, if they seal their uploads.
        cohorts: for each broadcast that must be trained again as a whole and of which models are still to be
            fetched: the previous memories of its UEs, in the order of training.
        plan: number of the current plan of arrivals on a shared medium; arrivals of older plans do not happen.
        replan: whether a UE has begun or stopped sending since that plan.
        taken: for each UE the number of uploads of which the BS has taken something, int64, shape (UEs,); empty
            before the first event.
        losses: of the first and the last global model among those that were evaluated.
        spent: totals over all rounds, by name, for the limits at which a run stops.
        ended: whether a limit is reached.
        wall_s: wall-clock time of the run so far.
    """

    model: Params
    version: int = 0
    protocol: Any = None
    selection: Any = ()
    server: Any = ()
    medium: Any = ()
    privacy: Any = ()
    ues: Dict[int, UeMemory] = field(default_factory=dict)
    station: Station = field(default_factory=lambda: Station({}, {}))
    flights: Dict[int, Flight] = field(default_factory=dict)
    begun: int = 0
    sent_down: int = -1
    copies: List[Copy] = field(default_factory=list)
    sealing: Tuple[int, ...] = ()
    cohorts: Dict[int, Dict[int, Before]] = field(default_factory=dict)
    plan: int = 0
    replan: bool = False
    taken: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    losses: Tuple[float, ...] = ()
    spent: Dict[str, float] = field(default_factory=dict)
    ended: bool = False
    wall_s: float = 0.0

    def copy(self) -> "RunState":
        """A copy that does not change when UEs receive the next model. It is shallow: the states of parts and the
        entries of UEs are then replaced, never modified."""
        return replace(
            self,
            ues=dict(self.ues),
            flights=dict(self.flights),
            copies=list(self.copies),
            cohorts=dict(self.cohorts),
        )

    def memory(self, ue: int) -> UeMemory:
        """The memory of a UE, to be modified; it is created if missing."""
        return self.ues.setdefault(ue, UeMemory())

    def not_fetched(self) -> List[int]:
        """UEs whose trained models the BS has not fetched yet and may still fetch."""
        return [
            ue
            for ue, flight in self.flights.items()
            if not flight.layers and not flight.refusal and flight.upload.start_s < math.inf
        ]


class Moment(NamedTuple):
    """The content of a checkpoint.

    Args:
        now_s, events: of the clock.
        run: everything else.
        edges: the same for each edge below a cloud.
    """

    now_s: float
    events: List[Tuple[float, int, int, Scheduled]]
    run: RunState
    edges: "Tuple[Moment, ...]" = ()


CLASSES = (Moment, Before, Copy, Station, RunState, Flight, UeMemory, Upload, Update, Memory, Work)
