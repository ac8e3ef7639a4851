"""The asynchronous protocol: a buffer instead of rounds."""

from dataclasses import dataclass
from typing import ClassVar, Dict, Mapping, NamedTuple, Tuple

from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import MOST_UES, require_count, require_factor
from fl_simu.kernel.messages import (
    Aggregate,
    Broadcast,
    Event,
    LayerArrived,
    LayerLost,
    Ready,
    Taken,
    UploadRefused,
    UploadSkipped,
)
from fl_simu.station.protocols.base import Actions, Protocol

STALENESS = ("polynomial", "hinge", "constant")


class Buffer(NamedTuple):
    """The state of an asynchronous BS.

    Args:
        version: version of the global model; -1 before the first.
        busy: for each UE that works or whose upload waits in the buffer, the version that it started from.
        full: UEs whose complete uploads wait in the buffer, with their number of layers.
        refused: UEs whose uploads were refused or lost since the last aggregation.
    """

    version: int
    busy: Dict[int, int]
    full: Dict[int, int]
    refused: Tuple[int, ...]


@dataclass(frozen=True)
class Buffered(Protocol):
    r"""Asynchronous: aggregate whenever k complete uploads have arrived; UEs with older models continue.

    `ues_per_round` UEs work at a time. When the buffer is emptied, each free place goes to a UE selected among
    those that are idle at that moment. A slow UE is idle less often, and so takes part less often. The weight of
    an update that started s versions ago is multiplied by w(s). With `staleness` "polynomial" this is :math:`(1 +
    s)^{-a}`; with "hinge" it is 1 up to s = b, and :math:`\frac{1}{1 + c (s - b)}` beyond; with "constant" it is
    always 1.

    Args:
        k: number of uploads in a full buffer, 1 or more; at most the number of UEs at work, so that it can fill.
        staleness_power: a, 0 or more; with 0 old updates weigh as much as new ones.
        staleness: how the weight falls with staleness: "polynomial", "hinge" or "constant"
        hinge_after: b, 0 or more.
        hinge_slope: c, 0 or more.

    Reference: Nguyen et al. 2022, "Federated Learning with Buffered Asynchronous Aggregation"; the three families
    are of Xie, Koyejo, Gupta 2019, "Asynchronous Federated Optimization".
    """

    k: int = 4
    staleness_power: float = 0.5
    staleness: str = "polynomial"
    hinge_after: int = 4
    hinge_slope: float = 10.0

    state_classes: ClassVar[Tuple[type, ...]] = (Buffer,)

    def __post_init__(self) -> None:
        require_count("k", self.k, most=MOST_UES)
        require_factor("staleness_power", self.staleness_power, or_zero=True)
        require(self.staleness in STALENESS, "staleness", self.staleness, "one of " + ", ".join(STALENESS))
        require_count("hinge_after", self.hinge_after, least=0)
        require_factor("hinge_slope", self.hinge_slope, or_zero=True)

    def weight(self, age: int) -> float:
        """The weight of an update that started a number of versions ago."""
        if self.staleness == "polynomial":
            return (1 + age) ** -self.staleness_power
        if self.staleness == "constant" or age <= self.hinge_after:
            return 1.0
        return 1 / (1 + self.hinge_slope * (age - self.hinge_after))

    def start(self) -> Buffer:
        return Buffer(-1, {}, {}, ())

    def settled(self, state: Buffer, round: int, ues: int, under_way: Mapping[int, int]) -> bool:
        return state == Buffer(round, dict(under_way), {}, ())

    def on(self, state: Buffer, event: Event) -> Tuple[Buffer, Actions]:
        if isinstance(event, Ready):
            return self._hand_out(state, event)
        if state.busy.get(event.ue) != event.version or event.ue in state.full or event.ue in state.refused:
            return state, ()
        full, refused = state.full, state.refused
        if isinstance(event, (UploadRefused, UploadSkipped, LayerLost)):
            refused = (*refused, event.ue)
        elif isinstance(event, LayerArrived) and event.layer + 1 == event.layers:
            full = {**full, event.ue: event.layers}
        else:
            return state, ()
        state = Buffer(state.version, state.busy, full, refused)
        at_work = len(state.busy) - len(full) - len(refused)
        return (state, ()) if len(full) < self.k and at_work else self._emptied(state)

    def _emptied(self, state: Buffer) -> Tuple[Buffer, Actions]:
        action = Aggregate(self._taken(state), state.refused)
        settled = action.layers()
        left = {ue: version for ue, version in state.busy.items() if ue not in settled}
        return Buffer(state.version + 1, left, {}, ()), (action,)

    def _taken(self, state: Buffer) -> Tuple[Taken, ...]:
        ages = {ue: state.version - state.busy[ue] for ue in sorted(state.full)}
        return tuple(Taken(ue, state.full[ue], self.weight(age)) for ue, age in ages.items())

    @staticmethod
    def _hand_out(state: Buffer, event: Ready) -> Tuple[Buffer, Actions]:
        # Two aggregations may be simultaneous; the newer model is then handed out.
        version = max(state.version, event.version)
        busy = {**state.busy, **dict.fromkeys(event.ues, version)}
        state = Buffer(version, busy, state.full, state.refused)
        return state, (Broadcast(event.ues),) if event.ues else ()
