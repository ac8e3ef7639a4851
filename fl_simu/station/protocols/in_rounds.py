"""Common parts of all protocols in rounds: the state of a round, and its end."""

import math
from typing import ClassVar, Dict, List, Mapping, NamedTuple, Optional, Tuple

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
    UploadStarted,
    WakeAt,
    Woke,
)
from fl_simu.station.protocols.base import Actions, Protocol


class Standing(NamedTuple):
    """The state of one UE in a round.

    Args:
        started_s: time at which it began to send, if the protocol checks it again after that; else infinity.
        arrived: number of its layers that arrived completely before the BS decided on it.
        layers: number of layers of its complete upload; 0 until the first one has arrived.
        decided: whether the BS no longer waits for it.
        skipped: whether it told the BS that it does not send.
    """

    started_s: float = math.inf
    arrived: int = 0
    layers: int = 0
    decided: bool = False
    skipped: bool = False

    @property
    def complete(self) -> bool:
        """Whether every layer has arrived."""
        return 0 < self.arrived == self.layers


Standings = Tuple[Dict[int, Standing], ...]


class Round(NamedTuple):
    """The state of one round.

    The standing of UE u is in dict number u mod m, where m is about the square root of the number of UEs. So the
    changed copy of the state after an event copies two short dicts instead of one with all UEs.

    Args:
        version: version of the global model that the round started from; -1 before the first round.
        ues: the UEs of the round, ascending.
        waiting: number of UEs that the BS has not decided on; 0 when the round is closed.
        complete: number of UEs of which every layer has arrived.
        standings: the standing of each UE of the round.
    """

    version: int = -1
    ues: Tuple[int, ...] = ()
    waiting: int = 0
    complete: int = 0
    standings: Standings = ()

    def standing(self, ue: int) -> Optional[Standing]:
        """The standing of a UE; None if it is not in this round."""
        return self.standings[ue % len(self.standings)].get(ue)

    def by_ue(self) -> List[Tuple[int, Standing]]:
        """Every UE with its standing, in the order of the UEs."""
        return sorted(entry for some in self.standings for entry in some.items())


def _opened(ues: Tuple[int, ...]) -> Standings:
    standings: Standings = tuple({} for _ in range(1 + math.floor(math.sqrt(len(ues)))))
    new = Standing()
    for ue in ues:
        standings[ue % len(standings)][ue] = new
    return standings


def _changed(standings: Standings, ue: int, standing: Standing) -> Standings:
    changed, place = list(standings), ue % len(standings)
    changed[place] = standings[place].copy()
    changed[place][ue] = standing
    return tuple(changed)


class InRounds(Protocol):
    """A protocol in rounds: send the model to the selected UEs, decide on each UE, then aggregate.

    Layers that arrive after the BS has decided on a UE are not accepted. The UE is not informed: it continues to
    send, which costs bits and energy, until its upload is complete or the round ends.

    Note:
        A subclass defines when a UE is decided (`decided`) and how long the BS waits (`longest_s`,
        `upload_timers`).
    """

    state_classes: ClassVar[Tuple[type, ...]] = (Round, Standing)

    def start(self) -> Round:
        return Round()

    def settled(self, state: Round, round: int, ues: int, under_way: Mapping[int, int]) -> bool:
        drawn = set(state.ues) <= set(range(ues)) and len(set(state.ues)) == len(state.ues)
        return state == Round(round - 1, state.ues) and drawn and not under_way

    def decided(self, standing: Standing, now_s: float) -> bool:
        """Whether the BS no longer waits for a UE; the layers that have arrived, if any, are accepted."""
        return standing.complete

    def enough(self, state: Round) -> bool:
        """Whether the BS no longer waits for any UE, decided or not."""
        return False

    def takes(self, standing: Standing) -> bool:
        """Whether the BS accepts what has arrived from a UE when it closes the round."""
        return standing.arrived > 0

    def close(self, state: Round) -> Aggregate:
        """Accept what has arrived and reject the other UEs, both in the order of the UEs."""
        taken = tuple(Taken(ue, standing.arrived) for ue, standing in state.by_ue() if self.takes(standing))
        settled = {choice.ue for choice in taken}
        return Aggregate(taken, tuple(ue for ue in state.ues if ue not in settled))

    def longest_s(self) -> float:
        """The longest time after the broadcast for which the BS waits; infinity for no limit."""
        return math.inf

    def bears_silence(self) -> bool:
        return self.longest_s() < math.inf

    def upload_timers(self, started_s: float) -> Tuple[float, ...]:
        """Times at which the BS checks a UE again that began to send at `started_s`."""
        return ()

    def on(self, state: Round, event: Event) -> Tuple[Round, Actions]:
        if isinstance(event, Ready):
            return self._open(event)
        if event.version != state.version or not state.waiting:
            return state, ()
        if isinstance(event, Woke) and event.ue < 0:
            return self._closed(state)
        standing = state.standing(event.ue)
        if standing is None or standing.decided:
            return state, ()
        if isinstance(event, UploadStarted):
            return self._started(state, event, standing)
        waiting, complete = state.waiting, state.complete
        if isinstance(event, LayerArrived):
            standing = Standing(standing.started_s, event.layer + 1, event.layers)
            complete += standing.complete
        skipped = isinstance(event, UploadSkipped)
        ended = skipped or isinstance(event, (UploadRefused, LayerLost))
        decided = ended or self.decided(standing, event.time_s)
        if isinstance(event, Woke) and not decided:
            return state, ()
        if decided:
            standing = Standing(standing.started_s, standing.arrived, standing.layers, True, skipped)
            waiting -= 1
        standings = _changed(state.standings, event.ue, standing)
        state = Round(state.version, state.ues, waiting, complete, standings)
        return (state, ()) if waiting and not self.enough(state) else self._closed(state)

    def _started(self, state: Round, event: UploadStarted, standing: Standing) -> Tuple[Round, Actions]:
        times = self.upload_timers(event.time_s)
        if not times:
            return state, ()
        standings = _changed(state.standings, event.ue, Standing(event.time_s, standing.arrived, standing.layers))
        timers = tuple(WakeAt(time, state.version, event.ue) for time in times if time < math.inf)
        return Round(state.version, state.ues, state.waiting, state.complete, standings), timers

    def _closed(self, state: Round) -> Tuple[Round, Actions]:
        return Round(state.version, state.ues), (self.close(state),)

    def _open(self, event: Ready) -> Tuple[Round, Actions]:
        timer = event.time_s + self.longest_s()
        actions: Actions = (Broadcast(event.ues),)
        if timer < math.inf:
            actions += (WakeAt(timer, event.version),)
        ues = tuple(sorted(event.ues))
        return Round(event.version, ues, len(ues), 0, _opened(ues)), actions
