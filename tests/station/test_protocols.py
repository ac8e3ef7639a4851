"""Each protocol from a table: events in, actions out."""

import math

import pytest

from fl_simu.kernel.errors import BadField
from fl_simu.kernel.messages import (
    Aggregate,
    Broadcast,
    LayerArrived,
    Ready,
    Taken,
    UploadRefused,
    UploadSkipped,
    UploadStarted,
    WakeAt,
    Woke,
)
from fl_simu.station.protocols import BaseThenEnhancement, Buffered, Deadline, EventTriggered, FirstK, WaitForAll


def started(time_s, ue, version=0):
    return UploadStarted(time_s, ue, version)


def arrived(time_s, ue, layer, layers=2, version=0):
    return LayerArrived(time_s, ue, version, layer, layers)


READY = Ready(0.0, 0, (0, 1, 2))
SEND = Broadcast((0, 1, 2))

GRADED = BaseThenEnhancement(receive_s=2.0, wait_s=3.0)
EARLY_WAIT = BaseThenEnhancement(receive_s=2.0, wait_s=1.0)

OLD = 2**-0.5
CLOSING = BaseThenEnhancement(receive_s=2.0, wait_s=3.0, close_s=4.0)

TABLES = {
    "graded with an end: who never begins is rejected": (
        CLOSING,
        [
            (READY, [SEND, WakeAt(4.0, 0)]),
            (started(1.0, 0), [WakeAt(3.0, 0, 0), WakeAt(4.0, 0, 0)]),
            (started(3.5, 1), [WakeAt(5.5, 0, 1), WakeAt(6.5, 0, 1)]),
            (arrived(2.0, 0, 0), []),
            (arrived(2.5, 0, 1), []),
            (arrived(3.9, 1, 0), []),
            (Woke(4.0, -1, 0), [Aggregate((Taken(0, 2), Taken(1, 1)), (2,))]),
        ],
    ),
    "event-triggered: what did not move stands in, what is refused does not": (
        EventTriggered(0.5),
        [
            (READY, [SEND]),
            (started(1.0, 0), []),
            (UploadSkipped(1.5, 2, 0), []),
            (arrived(2.0, 0, 0), []),
            (UploadRefused(2.5, 1, 0), []),
            (arrived(3.0, 0, 1), [Aggregate((Taken(0, 2),), (1,), (2,))]),
            (Ready(3.0, 1, (0, 1)), [Broadcast((0, 1))]),
            (UploadSkipped(4.0, 1, 1), []),
            (UploadSkipped(5.0, 0, 1), [Aggregate((), (), (0, 1))]),
        ],
    ),
    "event-triggered: or is left out, and a deadline ends the round": (
        EventTriggered(0.5, absent="out", deadline_s=4.0),
        [
            (READY, [SEND, WakeAt(4.0, 0)]),
            (started(1.0, 0), []),
            (UploadSkipped(1.5, 2, 0), []),
            (arrived(2.0, 0, 0), []),
            (Woke(4.0, -1, 0), [Aggregate((Taken(0, 1),), (1, 2))]),
        ],
    ),
    "event-triggered: who had not decided by the deadline is late": (
        EventTriggered(0.5, deadline_s=4.0),
        [
            (READY, [SEND, WakeAt(4.0, 0)]),
            (UploadSkipped(1.5, 2, 0), []),
            (Woke(4.0, -1, 0), [Aggregate((), (0, 1), (2,))]),
            (UploadSkipped(4.5, 1, 0), []),
        ],
    ),
    "first k leaves the others alone": (
        FirstK(2),
        [
            (READY, [SEND]),
            (started(1.0, 0), []),
            (arrived(2.0, 0, 0), []),
            (arrived(3.0, 1, 0), []),
            (arrived(3.5, 1, 1), []),
            (arrived(4.0, 2, 0), []),
            (arrived(4.5, 2, 1), [Aggregate((Taken(1, 2), Taken(2, 2)), (0,))]),
            (arrived(5.0, 0, 1), []),
        ],
    ),
    "first k of fewer waits for all that can come": (
        FirstK(3),
        [
            (Ready(0.0, 0, (0, 1)), [Broadcast((0, 1))]),
            (UploadRefused(1.0, 0, 0), []),
            (arrived(2.0, 1, 0, layers=1), [Aggregate((Taken(1, 1),), (0,))]),
        ],
    ),
    "buffered: old models go on and weigh less": (
        Buffered(k=2, staleness_power=0.5),
        [
            (READY, [SEND]),
            (started(1.0, 0), []),
            (arrived(2.0, 0, 0, layers=1), []),
            (arrived(3.0, 1, 0, layers=1), [Aggregate((Taken(0, 1, 1.0), Taken(1, 1, 1.0)))]),
            (Ready(3.0, 1, (0, 1)), [Broadcast((0, 1))]),
            (arrived(4.0, 2, 0, layers=1), []),
            (arrived(5.0, 1, 0, layers=1, version=1), [Aggregate((Taken(1, 1, 1.0), Taken(2, 1, OLD)))]),
            (Ready(5.0, 2, (1, 2)), [Broadcast((1, 2))]),
            (UploadRefused(6.0, 0, 1), []),
            (arrived(7.0, 1, 0, layers=1, version=2), []),
            (arrived(8.0, 2, 0, layers=1, version=2), [Aggregate((Taken(1, 1), Taken(2, 1)), (0,))]),
        ],
    ),
    "buffered: whoever is selected works, also one whose upload was just taken": (
        Buffered(k=1),
        [
            (Ready(0.0, 0, (3, 0)), [Broadcast((3, 0))]),
            (arrived(1.0, 3, 0, layers=1), [Aggregate((Taken(3, 1),))]),
            (Ready(1.0, 1, (4,)), [Broadcast((4,))]),
            (arrived(2.0, 4, 0, layers=1, version=1), [Aggregate((Taken(4, 1),))]),
            (Ready(2.0, 2, (4,)), [Broadcast((4,))]),
            (arrived(3.0, 0, 0, layers=1), [Aggregate((Taken(0, 1, 3**-0.5),))]),
            (Ready(3.0, 3, (2,)), [Broadcast((2,))]),
        ],
    ),
    "buffered: of two aggregations at one moment the newer model is handed out, to all who are selected": (
        Buffered(k=1),
        [
            (Ready(0.0, 0, (2, 0)), [Broadcast((2, 0))]),
            (arrived(1.0, 2, 0, layers=1), [Aggregate((Taken(2, 1),))]),
            (arrived(1.0, 0, 0, layers=1), [Aggregate((Taken(0, 1, OLD),))]),
            (Ready(1.0, 1, (1, 2)), [Broadcast((1, 2))]),
            (Ready(1.0, 2, ()), []),
            (arrived(2.0, 1, 0, layers=1, version=2), [Aggregate((Taken(1, 1),))]),
        ],
    ),
    "rounds: the selection decides who comes first, and nothing else": (
        WaitForAll(),
        [
            (Ready(0.0, 0, (4, 2)), [Broadcast((4, 2))]),
            (arrived(1.0, 4, 0, layers=1), []),
            (UploadRefused(2.0, 2, 0), [Aggregate((Taken(4, 1),), (2,))]),
        ],
    ),
    "wait for all takes everything complete": (
        WaitForAll(),
        [
            (READY, [SEND]),
            (started(1.0, 0), []),
            (started(1.0, 1), []),
            (arrived(2.0, 1, 0), []),
            (arrived(2.5, 1, 1), []),
            (started(1.0, 2), []),
            (arrived(3.0, 0, 0), []),
            (UploadRefused(3.5, 2, 0), []),
            (arrived(90.0, 0, 1), [Aggregate((Taken(0, 2), Taken(1, 2)), (2,))]),
        ],
    ),
    "deadline takes the layers there are": (
        Deadline(5.0),
        [
            (READY, [SEND, WakeAt(5.0, 0)]),
            (started(1.0, 0), []),
            (started(1.0, 1), []),
            (arrived(2.0, 0, 0), []),
            (arrived(3.0, 1, 0), []),
            (arrived(5.0, 1, 1), []),
            (Woke(5.0, -1, 0), [Aggregate((Taken(0, 1), Taken(1, 2)), (2,))]),
            (arrived(5.0, 0, 1), []),
            (Ready(5.0, 1, (2,)), [Broadcast((2,)), WakeAt(10.0, 1)]),
            (arrived(6.0, 2, 0), []),
            (Woke(10.0, -1, 1), [Aggregate((), (2,))]),
        ],
    ),
    "a deadline that nobody needs is forgotten": (
        Deadline(5.0),
        [
            (Ready(0.0, 0, (4,)), [Broadcast((4,)), WakeAt(5.0, 0)]),
            (started(1.0, 4), []),
            (arrived(5.0, 4, 0, layers=1), [Aggregate((Taken(4, 1),))]),
            (Woke(5.0, -1, 0), []),
        ],
    ),
    "graded: full in time, base alone, too late": (
        GRADED,
        [
            (READY, [SEND]),
            (started(1.0, 0), [WakeAt(3.0, 0, 0), WakeAt(4.0, 0, 0)]),
            (started(1.5, 1), [WakeAt(3.5, 0, 1), WakeAt(4.5, 0, 1)]),
            (started(2.0, 2), [WakeAt(4.0, 0, 2), WakeAt(5.0, 0, 2)]),
            (arrived(2.0, 0, 0), []),
            (arrived(2.5, 0, 1), []),
            (Woke(3.0, 0, 0), []),
            (arrived(3.5, 1, 0), []),
            (Woke(3.5, 1, 0), []),
            (Woke(4.0, 0, 0), []),
            (Woke(4.0, 2, 0), []),
            (arrived(4.1, 2, 0), []),
            (Woke(4.5, 1, 0), [Aggregate((Taken(0, 2), Taken(1, 1)), (2,))]),
            (arrived(4.6, 1, 1), []),
        ],
    ),
    "graded: a base between wait and receive is taken alone": (
        EARLY_WAIT,
        [
            (Ready(0.0, 0, (7,)), [Broadcast((7,))]),
            (started(0.0, 7), [WakeAt(2.0, 0, 7), WakeAt(1.0, 0, 7)]),
            (Woke(1.0, 7, 0), []),
            (arrived(1.5, 7, 0), [Aggregate((Taken(7, 1),))]),
        ],
    ),
    "graded: without limits it waits for every layer": (
        BaseThenEnhancement(math.inf, math.inf),
        [
            (Ready(0.0, 0, (7,)), [Broadcast((7,))]),
            (started(0.0, 7), []),
            (arrived(50.0, 7, 0), []),
            (arrived(99.0, 7, 1), [Aggregate((Taken(7, 2),))]),
        ],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_events_in_actions_out(name):
    protocol, table = TABLES[name]
    state = protocol.start()
    for event, wanted in table:
        before = repr(state)
        new, actions = protocol.on(state, event)
        assert repr(state) == before, "a protocol must not change the state it is given"
        assert list(actions) == wanted, event
        state = new


@pytest.mark.parametrize(
    "make",
    [
        lambda: Deadline(0.0),
        lambda: Deadline(math.nan),
        lambda: Deadline(math.inf),
        lambda: FirstK(0),
        lambda: EventTriggered(-0.1),
        lambda: EventTriggered(math.inf),
        lambda: EventTriggered(absent="first"),
        lambda: EventTriggered(deadline_s=0.0),
        lambda: Buffered(k=0),
        lambda: Buffered(staleness_power=-1.0),
        lambda: BaseThenEnhancement(receive_s=0.0),
        lambda: BaseThenEnhancement(wait_s=-1.0),
        lambda: BaseThenEnhancement(wait_s=math.nan),
    ],
)
def test_thresholds_are_checked(make):
    with pytest.raises(BadField):
        make()


@pytest.mark.parametrize(
    "staleness, weights",
    [
        ("polynomial", [1.0, 2**-0.5, 3**-0.5, 0.5, 5**-0.5, 6**-0.5]),
        ("hinge", [1.0, 1.0, 1.0, 1.0, 1.0, 1 / 11]),
        ("constant", [1.0] * 6),
    ],
)
def test_the_papers_families_of_staleness(staleness, weights):
    """Xie, Koyejo, Gupta 2019: a = 0.5; hinge with a = 10, b = 4."""
    protocol = Buffered(1, staleness=staleness)
    assert [protocol.weight(age) for age in range(6)] == pytest.approx(weights)
