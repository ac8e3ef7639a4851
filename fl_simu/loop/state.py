"""Everything that decides the rest of a run, as one tree of plain data and tensors.

The loop works on it, a checkpoint is it. What follows from the rest is not in it: a model that was trained but not
fetched follows from the model that its UE was handed, the UE's key, and what it remembers.
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
    """One upload under way, from the moment its UE is handed the model until the BS takes it or gives it up.

    Args:
        upload: what its UE is sending, or will when it has trained.
        start: the global model that the UE was handed.
        cohort: number of the broadcast by which it was.
        work: what the UE trains.
        download: the copy of the global model before it, its own or one of several UEs, where the downlink is not
            free.
        shared: what the BS sent beside the model; None where there is nothing.
        layers: what the BS has fetched, as it travels; empty before.
        content: the update behind these layers, as it left the chain of transforms; None where there is none.
        memories: what the transforms remember if the BS takes something of it.
        sent: the model behind it, where an attack is measured; else None.
        refusal: why nothing will be taken of it, where that is known before it is settled.
        handed_s: when the BS sent the model.
        weight: what the selection says that the update counts.
        airtime_s: how long its UE was on the air, where its last layer has arrived on a medium that all share.
        transmits_w: with which power its UE sends [W], where such a medium tells of it; else None.
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
    """What a UE remembers from round to round, and the BS of it.

    Args:
        training: of its optimiser.
        algorithm: what the local algorithm lets it remember, by group; empty before its first round.
        own: its local layers, or its own model; empty before its first round, and where it has none.
        transforms: of each transform in the chain; empty before the first upload that was taken.
        attack: of a malicious UE.
        uploads: of the rates that its uploads had.
        accepted: its last accepted upload as the BS decoded it, where the BS lets it stand in.
        energy: what the faults keep of the energy that it has spent; None where it was never handed the model.
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
    """What a UE's training in a round follows from beside the model that it is handed.

    Args:
        steps: number of its steps; None for all that its data make.
        training: what its optimiser remembered.
        algorithm: what the local algorithm let it remember.
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
        ues: who gets it.
        download: of the first of them.
        charged: bits of it that records of rounds tell already.
    """

    cohort: int
    ues: Tuple[int, ...]
    download: Upload
    charged: int = 0


@dataclass
class RunState:
    """Where a run stands between two events.

    Args:
        model: the global model, without the layers that stay at the UEs.
        version: number of aggregations behind it.
        protocol, selection, server, medium, privacy: what these parts remember; the protocol's is None before the
            first event.
        ues: what UEs remember, of those that do.
        station: what the BS has beside the model, for the local algorithm.
        flights: the uploads under way, by UE.
        begun: number of broadcasts so far.
        sent_down: version of the global model that the last one sent; -1 before.
        copies: those that several UEs share, some of which are still at work.
        sealing: the UEs of the last one, in order, where they seal what they send.
        cohorts: of broadcasts of which some models are still to be fetched, and that must be trained again as a
            whole: what each of their UEs remembered before, in the order of training.
        plan: number of the plan of who arrives next on a shared medium; what an older one foresaw does not happen.
        replan: whether somebody has begun or ended to send since that plan.
        taken: of how many uploads of each UE the BS has taken something, int64, shape (UEs,); empty before the
            first event.
        losses: of the global model after the first round and after the last one, of those that were evaluated.
        spent: what all rounds have come to, by name, for the limits at which a run stops.
        ended: whether it has come to one of them.
        wall_s: what the run has taken so far on the wall clock.
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
        """What stays as it is when UEs are handed the next model. What the parts remember, and what there is of a
        UE, is never changed by that, but replaced."""
        return replace(
            self,
            ues=dict(self.ues),
            flights=dict(self.flights),
            copies=list(self.copies),
            cohorts=dict(self.cohorts),
        )

    def memory(self, ue: int) -> UeMemory:
        """What a UE remembers, to be changed."""
        return self.ues.setdefault(ue, UeMemory())

    def not_fetched(self) -> List[int]:
        """UEs whose trained model the BS has not fetched and still may."""
        return [
            ue
            for ue, flight in self.flights.items()
            if not flight.layers and not flight.refusal and flight.upload.start_s < math.inf
        ]


class Moment(NamedTuple):
    """What a checkpoint holds.

    Args:
        now_s, events: of the clock.
        run: the rest.
        edges: the same of each edge below a cloud.
    """

    now_s: float
    events: List[Tuple[float, int, int, Scheduled]]
    run: RunState
    edges: "Tuple[Moment, ...]" = ()


CLASSES = (Moment, Before, Copy, Station, RunState, Flight, UeMemory, Upload, Update, Memory, Work)
