"""The laws of protocols. Each takes a world: the outcome of the upload of each UE in each round."""

import copy
from typing import Any, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from fl_simu.kernel.clock import Clock
from fl_simu.kernel.messages import (
    ARRIVAL,
    TIMER,
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
from fl_simu.kernel.randomness import stream
from fl_simu.laws.base import SEED, Inputs, Law, expect, same, stored_and_read
from fl_simu.station.protocols.base import Actions, Protocol
from fl_simu.station.protocols.in_rounds import InRounds

ROUNDS = 3
# "sent": in two layers. "refused": when the first layer would have arrived. "skipped": if the protocol lets a UE
# that moved too little keep silent. "lost": if it tolerates silence. If the protocol does not, these are sent. The
# BS learns of "base lost" and "rest lost" when that layer would have arrived.
FATES = ("sent", "refused", "skipped", "lost", "base lost", "rest lost")
LOST = {"base lost": 0, "rest lost": 1}


class Upload(NamedTuple):
    """The outcome of one UE in one round.

    Fields:
        compute_s: time from the broadcast until it begins to send.
        base_s, more_s: time until its first layer has arrived, and from then until its second layer has.
        fate: one of FATES.
    """

    compute_s: float
    base_s: float
    more_s: float
    fate: str


# For each UE, its upload in each round.
World = Sequence[Sequence[Upload]]


class Step(NamedTuple):
    """One event, and the answer of a protocol."""

    before: Any
    event: Event
    state: Any
    actions: Actions
    in_flight: Dict[int, int]
    version: int


class Round(NamedTuple):
    """One aggregation: the versions that the UEs under way started from, the action, its time [s]."""

    in_flight: Dict[int, int]
    aggregate: Aggregate
    closed_s: float


class Game:
    """A protocol in a world, with the same events as from the coordinator.

    Args:
        protocol: the protocol to check.
        world: the outcome of each upload.
    """

    def __init__(self, protocol: Protocol, world: World) -> None:
        self.protocol, self.world = protocol, world
        self.rounds: List[Round] = []
        self.handed_s: Dict[Tuple[int, int], float] = {}
        self._clock, self._in_flight = Clock(), {}  # type: Clock, Dict[int, int]

    def fate(self, ue: int, version: int) -> str:
        """The outcome of an upload under this protocol."""
        fate = self.world[ue][version].fate
        skips = version > 0 and self.protocol.movement_threshold() is not None
        bears = {"skipped": skips, "lost": self.protocol.bears_silence()}
        return fate if bears.get(fate, True) else "sent"

    def steps(self) -> Iterator[Step]:
        """Every event, until the last round has ended or no event is left."""
        state, clock = self.protocol.start(), self._clock
        clock.push(0.0, Ready(0.0, 0))
        while len(clock) and len(self.rounds) < ROUNDS:
            event = clock.pop()
            if isinstance(event, Ready):
                idle = [ue for ue in range(len(self.world)) if ue not in self._in_flight]
                event = event._replace(ues=tuple(idle))
            before, (state, actions) = state, self.protocol.on(state, event)
            for action in actions:
                self._carry_out(action)
            yield Step(before, event, state, actions, dict(self._in_flight), len(self.rounds))

    def played(self) -> "Game":
        """The game after its last event."""
        for _ in self.steps():
            pass
        return self

    def _carry_out(self, action: Any) -> None:
        clock, version = self._clock, len(self.rounds)
        if isinstance(action, Broadcast):
            for ue in action.ues:
                expect(ue not in self._in_flight, f"UE {ue} is handed a model while it works; right are idle UEs")
                self._in_flight[ue] = version
                self.handed_s[ue, version] = clock.now_s
                self._send(ue, version)
        elif isinstance(action, WakeAt):
            expect(action.time_s >= clock.now_s, f"at {clock.now_s} s a timer is set to {action.time_s} s")
            clock.push(action.time_s, Woke(action.time_s, action.ue, action.version), TIMER)
        else:
            expect(isinstance(action, Aggregate), f"it answers {action!r}; right is an action")
            self.rounds.append(Round(dict(self._in_flight), action, clock.now_s))
            for ue in action.layers():
                expect(ue in self._in_flight, f"UE {ue} is settled, which has no upload under way")
                del self._in_flight[ue]
            clock.push(clock.now_s, Ready(clock.now_s, version + 1))

    def _send(self, ue: int, version: int) -> None:
        upload, fate = self.world[ue][version], self.fate(ue, version)
        start_s = self._clock.now_s + upload.compute_s
        base_s = start_s + upload.base_s
        if fate == "lost":
            return
        if fate == "skipped":
            self._clock.push(start_s, UploadSkipped(start_s, ue, version), ARRIVAL)
            return
        self._clock.push(start_s, UploadStarted(start_s, ue, version), ARRIVAL)
        if fate == "refused":
            self._clock.push(base_s, UploadRefused(base_s, ue, version), ARRIVAL)
            return
        for layer, time_s in enumerate((base_s, base_s + upload.more_s)):
            if layer == LOST.get(fate):
                self._clock.push(time_s, LayerLost(time_s, ue, version, layer), ARRIVAL)
                return
            self._clock.push(time_s, LayerArrived(time_s, ue, version, layer, 2), ARRIVAL)


def the_same_state_and_event_give_the_same_answer(protocol: Protocol, world: World) -> None:
    """The given state is not changed."""
    state = copy.deepcopy(protocol.start())
    for step in Game(protocol, world).steps():
        same("the state that it was given, afterwards,", step.before, state)
        same(
            "the second answer to the same event", protocol.on(step.before, step.event), (step.state, step.actions)
        )
        state = copy.deepcopy(step.state)


def a_checkpoint_holds_the_state(protocol: Protocol, world: World) -> None:
    """To JSON and back, with the state classes of the protocol."""
    for step in Game(protocol, world).steps():
        read = stored_and_read(step.state, protocol.state_classes)
        same("the state from a checkpoint", read, step.state)
        same("the class of the state", type(step.state), type(protocol.start()))


def after_an_aggregation_the_state_is_one_that_may_be(protocol: Protocol, world: World) -> None:
    """A checkpoint is written there, and a resume refuses it unless `settled` is true."""
    for step in Game(protocol, world).steps():
        if any(isinstance(action, Aggregate) for action in step.actions):
            right = protocol.settled(step.state, step.version, len(world), step.in_flight)
            expect(right, f"after aggregation {step.version} `settled` refuses {step.state!r}")


def every_round_ends(protocol: Protocol, world: World) -> None:
    """When no event is left, no UE waits; so a round ends at the latest when all uploads have arrived."""
    rounds = Game(protocol, world).played().rounds
    same("the number of rounds that ended when everything had arrived", len(rounds), ROUNDS)


def each_ue_is_settled_once(protocol: Protocol, world: World) -> None:
    """Accepted uploads are in the order of the UEs; a protocol in rounds settles all UEs of a round."""
    for in_flight, aggregate, _ in Game(protocol, world).played().rounds:
        taken = [choice.ue for choice in aggregate.taken]
        named = sorted([*taken, *aggregate.rejected, *aggregate.repeated])
        same("the UEs that are settled", named, sorted(set(named)))
        same("the order of what is taken", taken, sorted(taken))
        if isinstance(protocol, InRounds):
            same("the UEs that a round settles", named, sorted(in_flight))


def only_what_has_arrived_is_taken(protocol: Protocol, world: World) -> None:
    """Nothing that was refused, was never sent, or is still under way."""
    game = Game(protocol, world).played()
    for in_flight, aggregate, closed_s in game.rounds:
        for choice in aggregate.taken:
            same(f"the number of layers taken of UE {choice.ue}", choice.layers in (1, 2), True)
            _has_arrived(game, choice, in_flight[choice.ue], closed_s)


def _has_arrived(game: Game, choice: Taken, version: int, closed_s: float) -> None:
    fate = game.fate(choice.ue, version)
    some = fate == "sent" or choice.layers <= LOST.get(fate, 0)
    expect(some, f"{choice.layers} layers of UE {choice.ue} are taken, whose upload was {fate}")
    upload = game.world[choice.ue][version]
    arrival_s = game.handed_s[choice.ue, version] + upload.compute_s + upload.base_s
    arrival_s += upload.more_s if choice.layers == 2 else 0.0
    told = f"{choice.layers} layers of UE {choice.ue} are taken at {closed_s} s"
    expect(arrival_s <= closed_s, f"{told}; right is not before {arrival_s} s")


def older_uploads_stand_in_for_those_who_do_not_send(protocol: Protocol, world: World) -> None:
    """For all UEs that have said so by then, if the protocol `repeats`; for no other UE."""
    game = Game(protocol, world).played()
    for in_flight, aggregate, closed_s in game.rounds:
        silent = [
            ue
            for ue, version in in_flight.items()
            if game.fate(ue, version) == "skipped"
            and game.handed_s[ue, version] + world[ue][version].compute_s <= closed_s
        ]
        same(
            "whom an older upload stands in for",
            sorted(aggregate.repeated),
            sorted(silent if protocol.repeats() else []),
        )


def worlds(protocol: Protocol) -> Inputs:
    """One UE, identical UEs, and random worlds of one to five UEs."""
    alike = [[Upload(0.5, 0.5, 0.5, "sent")] * ROUNDS]
    found: Dict[str, List[List[Upload]]] = {"a lone UE": alike, "four UEs that are all alike": alike * 4}
    for fate in FATES[1:]:
        found[f"three UEs, all {fate}"] = [[Upload(0.5, 0.5, 0.5, fate)] * ROUNDS] * 3
    for number in range(1, 8):
        draws = stream(SEED, "laws", round=number)
        found[f"world {number} drawn at random"] = [
            [_drawn(*draws.random(4)) for _ in range(ROUNDS)] for _ in range(1 + number % 5)
        ]
    return {label: (world,) for label, world in found.items()}


def _drawn(compute: float, base: float, more: float, fate: float) -> Upload:
    """The upload for four numbers from 0 to 1, in quarters of a second up to 3 s, so that many times coincide."""
    times_s = [int(13 * number) / 4 for number in (compute, base, more)]
    return Upload(times_s[0], times_s[1], times_s[2], FATES[max(0, int(8 * fate) - 2)])


LAWS = tuple(
    Law(law, worlds)
    for law in (
        the_same_state_and_event_give_the_same_answer,
        a_checkpoint_holds_the_state,
        every_round_ends,
        each_ue_is_settled_once,
        after_an_aggregation_the_state_is_one_that_may_be,
        only_what_has_arrived_is_taken,
        older_uploads_stand_in_for_those_who_do_not_send,
    )
)
