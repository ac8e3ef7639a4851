"""What every protocol must do, whatever arrives in whatever order. Give a new protocol a few settings here."""

import pytest
from fl_simu.kernel.plain import from_plain, to_plain
from hypothesis import given
from hypothesis import strategies as st

from fl_simu.kernel.clock import Clock
from fl_simu.kernel.messages import (
    ARRIVAL,
    TIMER,
    Aggregate,
    Broadcast,
    LayerArrived,
    Ready,
    UploadRefused,
    UploadSkipped,
    UploadStarted,
    WakeAt,
    Woke,
)
from fl_simu.station.protocols import (
    PROTOCOLS,
    BaseThenEnhancement,
    Buffered,
    Deadline,
    EventTriggered,
    FirstK,
    WaitForAll,
)
from fl_simu.station.protocols.in_rounds import InRounds

SETTINGS = {
    "wait_for_all": [WaitForAll()],
    "deadline": [Deadline(2.0), Deadline(0.25)],
    "base_then_enhancement": [BaseThenEnhancement(1.0, 2.0), BaseThenEnhancement(2.0, 1.0)],
    "first_k": [FirstK(1), FirstK(2), FirstK(9)],
    "event_triggered": [EventTriggered(), EventTriggered(0.5, "out"), EventTriggered(0.5, "last", deadline_s=2.0)],
    "buffered": [Buffered(1), Buffered(2, staleness_power=0.0), Buffered(9)],
}
CASES = [pytest.param(protocol, id=str(protocol)) for settings in SETTINGS.values() for protocol in settings]
ROUNDS = 3

# For each UE and round: compute time, delays of two layers, and what becomes of its upload.
QUARTERS = st.integers(0, 12).map(lambda quarter: quarter / 4)
FATES = st.sampled_from(["sent", "sent", "refused", "skipped"])
UPLOAD = st.tuples(QUARTERS, QUARTERS, QUARTERS, FATES)
WORLD = st.lists(st.lists(UPLOAD, min_size=ROUNDS, max_size=ROUNDS), min_size=1, max_size=5)


def play(protocol, world):
    """Feed a protocol the events of a world, as the coordinator does.

    Returns:
        For each aggregation: the versions that the UEs in flight started from, the action, and its time; and for
        each (UE, version) the time at which it was handed the model.
    """
    clock, state, rounds, in_flight, handed_s = Clock(), protocol.start(), [], {}, {}
    clock.push(0.0, Ready(0.0, 0))
    while len(clock) and len(rounds) < ROUNDS:
        event = clock.pop()
        if isinstance(event, Ready):
            event = event._replace(ues=tuple(ue for ue in range(len(world)) if ue not in in_flight))
        again = protocol.on(state, event)
        state, actions = protocol.on(state, event)
        assert again == (state, actions), "the same state and event must give the same answer"
        assert from_plain(to_plain(state), protocol.state_classes) == state, "a checkpoint must hold the state"
        for action in actions:
            if isinstance(action, Broadcast):
                for ue in action.ues:
                    assert ue not in in_flight, "a UE works on one model at a time"
                    in_flight[ue] = len(rounds)
                    handed_s[ue, len(rounds)] = clock.now_s
                    send(protocol, clock, ue, len(rounds), world[ue][len(rounds)])
            elif isinstance(action, WakeAt):
                assert action.time_s >= clock.now_s
                clock.push(action.time_s, Woke(action.time_s, action.ue, action.version), TIMER)
            else:
                assert isinstance(action, Aggregate)
                rounds.append((dict(in_flight), action, clock.now_s))
                for ue in action.layers():
                    del in_flight[ue]
                clock.push(clock.now_s, Ready(clock.now_s, len(rounds)))
    return rounds, handed_s


def skips(protocol, version, fate):
    """Whether a UE does not send, which only some protocols let it, and none in its first round."""
    return fate == "skipped" and version > 0 and protocol.movement_threshold() is not None


def send(protocol, clock, ue, version, upload):
    compute_s, base_s, more_s, fate = upload
    start_s = clock.now_s + compute_s
    if skips(protocol, version, fate):
        clock.push(start_s, UploadSkipped(start_s, ue, version), ARRIVAL)
        return
    clock.push(start_s, UploadStarted(start_s, ue, version), ARRIVAL)
    if fate == "refused":
        clock.push(start_s + base_s, UploadRefused(start_s + base_s, ue, version), ARRIVAL)
        return
    for layer, time_s in enumerate((start_s + base_s, start_s + base_s + more_s)):
        clock.push(time_s, LayerArrived(time_s, ue, version, layer, 2), ARRIVAL)


def test_every_registered_protocol_is_tested_here():
    assert set(SETTINGS) == set(PROTOCOLS)


@pytest.mark.parametrize("protocol", CASES)
@given(world=WORLD)
def test_every_round_ends_and_settles_no_ue_twice(protocol, world):
    rounds, _ = play(protocol, world)
    assert len(rounds) == ROUNDS
    for in_flight, aggregate, _ in rounds:
        settled = aggregate.layers()
        lists = (aggregate.taken, aggregate.rejected, aggregate.repeated)
        assert len(settled) == sum(map(len, lists)), "a UE is settled once"
        assert set(settled) <= set(in_flight)
        assert [choice.ue for choice in aggregate.taken] == sorted(choice.ue for choice in aggregate.taken)
        if isinstance(protocol, InRounds):
            assert set(settled) == set(in_flight)


@pytest.mark.parametrize("protocol", CASES)
@given(world=WORLD)
def test_nothing_is_taken_before_it_arrived_or_where_it_was_refused_or_never_sent(protocol, world):
    rounds, handed_s = play(protocol, world)
    for in_flight, aggregate, closed_s in rounds:
        for choice in aggregate.taken:
            version = in_flight[choice.ue]
            compute_s, base_s, more_s, fate = world[choice.ue][version]
            assert fate != "refused" and not skips(protocol, version, fate)
            arrival_s = handed_s[choice.ue, version] + compute_s + base_s
            assert arrival_s + (more_s if choice.layers == 2 else 0.0) <= closed_s


@pytest.mark.parametrize("protocol", CASES)
@given(world=WORLD)
def test_an_older_upload_stands_in_only_for_who_said_that_it_does_not_send(protocol, world):
    rounds, handed_s = play(protocol, world)
    for in_flight, aggregate, closed_s in rounds:
        silent = {
            ue
            for ue, version in in_flight.items()
            if skips(protocol, version, world[ue][version][3])
            and handed_s[ue, version] + world[ue][version][0] <= closed_s
        }
        assert set(aggregate.repeated) == (silent if protocol.repeats() else set())
