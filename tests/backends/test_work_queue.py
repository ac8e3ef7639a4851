"""Jobs distributed to workers: calls of equal length, no idle worker, awaited jobs first, little kept."""

import math
import threading

import pytest

from fl_simu.backends.work_queue import CALL_S, Job, WorkQueue

MODEL = object()


def jobs(*costs, shared=MODEL, due=None):
    return [Job(number, shared, cost, due=due[number] if due else 0.0) for number, cost in enumerate(costs)]


def names(call):
    return [job.content for job in call]


def carry_out(queue, call, second_per_cost=1.0):
    queue.done(
        call, [f"outcome of {job.content}" for job in call], second_per_cost * sum(job.cost for job in call)
    )


def later(queue, job):
    """Fetches in another thread; join it for the outcome in the list."""
    got = []
    thread = threading.Thread(target=lambda: got.append(queue.fetch(job)), daemon=True)
    thread.start()
    while queue._wanted is not job:
        pass
    return thread, got


def test_the_largest_jobs_come_first_and_long_ones_alone():
    queue = WorkQueue(hands=2, room=10)
    queue.add(jobs(10, 30, 20))
    assert names(queue.take()) == [1]
    call = queue.take()
    assert names(call) == [2]
    carry_out(queue, call)
    assert names(queue.take()) == [0]


def test_what_is_due_first_comes_first():
    queue = WorkQueue(hands=1, room=10)
    queue.add(jobs(10, 30, 20, 20, due=[3.0, 2.0, math.inf, 2.0]))
    assert [names(queue.take()) for _ in range(4)] == [[1], [3], [0], [2]]


def test_a_long_job_is_not_taken_ahead():
    """It may be given up before it starts."""
    queue = WorkQueue(hands=1, room=10)
    round = jobs(1, 1, 1, 1)
    queue.add(round)
    carry_out(queue, queue.take(), CALL_S)
    assert names(queue.take()) == [1]
    assert queue.take(ahead=True) == []
    queue.drop(round[2])
    assert names(queue.take()) == [3]


@pytest.mark.parametrize("hands", [1, 2, 4])
def test_short_jobs_share_calls_that_get_shorter_towards_the_end(hands):
    """1000 jobs of 1 ms each: calls of at most CALL_S, single jobs at the end, so that workers end together."""
    queue, calls = WorkQueue(hands, room=1000), []
    queue.add(jobs(*[20] * 1000))
    for _ in range(1000):
        if not queue._waiting:
            break
        calls.append(queue.take())
        carry_out(queue, calls[-1], 0.001 / 20)
    assert sorted(number for call in calls for number in names(call)) == list(range(1000))
    lengths = [len(call) for call in calls]
    assert lengths[0] == 1, "before anything is known of their length"
    assert max(lengths) == CALL_S / 0.001
    assert lengths[-1] == 1
    assert len(lengths) < 1000 * 0.001 / CALL_S + 12 * hands


def test_a_busy_hand_takes_ahead_only_what_nobody_idle_could_have():
    queue = WorkQueue(hands=2, room=10)
    queue.add(jobs(1, 1, 1, 1))
    assert len(queue.take()) == len(queue.take(ahead=True)) == 1
    assert queue.take(ahead=True) == []
    assert len(queue.take()) == len(queue.take()) == 1
    assert queue.take(ahead=True) == []


def test_nobody_takes_ahead_what_there_is_no_room_for():
    queue = WorkQueue(hands=1, room=1)
    queue.add(jobs(1, 1, 1))
    assert len(queue.take()) == 1
    assert queue.take(ahead=True) == []


def test_a_call_holds_jobs_of_one_model_only():
    queue = WorkQueue(hands=1, room=100)
    queue.add(jobs(1))
    carry_out(queue, queue.take(), 1e-6)
    queue.add(jobs(*[1] * 2))
    queue.add(jobs(*[1] * 20, shared=object()))
    assert [names(queue.take()) for _ in range(2)] == [[0, 1], list(range(10))]


def test_whoever_waits_is_served_first_and_told_what_failed():
    queue = WorkQueue(hands=1, room=10)
    one, other, third = round = jobs(3, 2, 1)
    queue.add(round)
    thread, got = later(queue, third)
    call = queue.take()
    assert names(call) == [2]
    carry_out(queue, call)
    thread.join()
    assert got == ["outcome of 2"]
    queue.failed(queue.take(), ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        queue.fetch(one)
    carry_out(queue, queue.take())
    assert queue.fetch(other) == "outcome of 1"


def test_no_more_is_kept_than_there_is_room_for():
    queue = WorkQueue(hands=1, room=2)
    first = jobs(1, 1, 1)
    queue.add(first)
    for _ in range(2):
        carry_out(queue, queue.take())
    assert not queue._may_begin()
    thread, got = later(queue, first[2])
    carry_out(queue, queue.take())
    thread.join()
    assert got == ["outcome of 2"]
    # In the next round the unfetched results of the last one are dropped, and computed again on request.
    second = jobs(1, 1)
    queue.add(second)
    assert [job.outcome for job in first[:2]] == [None, None]
    assert names(queue.take()) == [0]
    thread, got = later(queue, first[1])
    assert names(queue._waiting) == [1, 1]
    call = queue.take()
    assert call == [first[1]]
    carry_out(queue, call)
    thread.join()
    assert got == ["outcome of 1"]


def test_what_a_lost_hand_had_is_taken_next_and_the_dropped_not_at_all():
    queue = WorkQueue(hands=2, room=10)
    round = jobs(4, 3, 2, 1)
    queue.add(round)
    lost, dropped = queue.take(), queue.take()
    queue.drop(dropped[0])
    queue.drop(round[2])
    queue.again(dropped)
    queue.again(lost)
    assert [names(queue.take()) for _ in range(2)] == [[0], [3]]
    assert not queue._waiting


def test_when_the_last_hand_is_gone_nobody_waits_for_ever():
    queue = WorkQueue(hands=2, room=10)
    round = jobs(1, 1)
    queue.add(round)
    carry_out(queue, queue.take())
    queue.leave(ValueError("first"))
    queue.leave(ValueError("last"))
    assert queue.fetch(round[0]) == "outcome of 0"
    with pytest.raises(ValueError, match="last"):
        queue.fetch(round[1])


def test_a_closed_queue_lets_its_hands_go():
    queue, got = WorkQueue(hands=1, room=1), []
    hand = threading.Thread(target=lambda: got.append(queue.take()), daemon=True)
    hand.start()
    queue.close()
    hand.join()
    assert got == [[]]
