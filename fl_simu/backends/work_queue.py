"""Assigns jobs to hands that work in parallel, in calls of about the same length.

It knows neither Ray nor torch, and does not affect any result: a job's outcome depends on the job alone.
"""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Deque, Dict, List, Optional, Sequence

# Target length of a call of several jobs in seconds: hundreds of times the cost of a call, but no long wait for a
# fetch that needs only one of its jobs.
CALL_S = 0.1


@dataclass(eq=False)
class Job:
    """One UE's training in one round.

    Args:
        content: the data that a hand needs for it.
        shared: the data that all jobs of one call share; the same object in each.
        cost: number of samples to train on; only ratios matter.
        large: whether the outcome counts towards the limited room.
        due: jobs with an earlier due time begin first.
        tries: how often a hand was lost over it.
        outcome: the result; None until it is there.
        error: why there will be no result.
    """

    content: Any
    shared: Any
    cost: float
    large: bool = True
    due: float = 0.0
    tries: int = 0
    outcome: Any = None
    error: Optional[Exception] = None


class WorkQueue:
    """Jobs that wait, jobs that hands have taken, and jobs that are done but not yet fetched.

    The job that somebody waits for comes first, then the oldest round; within a round the earliest due, then the
    largest. So a job that is too late for its round may be given up before any hand begins it. When `room` large
    outcomes are taken or kept, no hand begins another large job unless somebody waits for it, and outcomes of
    earlier rounds that were not fetched are dropped. Such a job is done again if it is fetched after all.

    Args:
        hands: number of hands that take jobs.
        room: maximum number of large outcomes to keep, at least 1.
    """

    def __init__(self, hands: int, room: int) -> None:
        self._changed = threading.Condition()
        self._hands = hands
        self._room = room
        self._waiting: Deque[Job] = deque()
        self._waiting_cost = 0.0
        self._large = 0
        self._taken: Dict[Job, None] = {}
        self._wanted: Optional[Job] = None
        self._cost_s = 0.0
        self._broken: Optional[Exception] = None
        self.closed = False

    def add(self, jobs: Sequence[Job], first: bool = False) -> None:
        """Add a round's jobs; the hands begin at once.

        Args:
            first: whether to put them, in their order, before all waiting jobs.
        """
        with self._changed:
            excess = self._large + sum(job.large for job in (*self._waiting, *jobs)) - self._room
            done = [job for job in self._taken if job.outcome is not None and job.large]
            for job in done[: max(excess, 0)]:
                job.outcome = None
                self._let_go(job)
            for job in reversed(jobs) if first else sorted(jobs, key=lambda job: (job.due, -job.cost)):
                self._wait_in_line(job, first)
            self._changed.notify_all()

    def fetch(self, job: Job) -> Any:
        """Wait for the outcome and return it; the queue no longer keeps it.

        Raises:
            Exception: the error with which the job, or the last of the hands, failed.
        """
        with self._changed:
            self._wanted = job
            if job not in self._taken:
                self._leave_the_line(job)
                self._wait_in_line(job, first=True)
                self._changed.notify_all()
            self._changed.wait_for(lambda: job.outcome is not None or job.error or self._broken)
            self._wanted = None
            self._forget(job)
            error = job.error or self._broken
            if job.outcome is None and error:
                raise error
            return job.outcome

    def drop(self, job: Job) -> None:
        """Nobody will fetch this job. A hand that already works on it completes it, but the outcome is dropped."""
        with self._changed:
            self._forget(job)

    def take(self, ahead: bool = False) -> List[Job]:
        """The jobs of a hand's next call, as soon as there are any; empty if the queue is closed.

        Args:
            ahead: for a busy hand, which does not wait. The result is also empty if too few jobs are left for the
                idle hands, or if the next job takes long, since it may be given up before it begins.
        """
        with self._changed:
            if ahead and (len(self._waiting) <= self._hands or not self._may_begin() or self._long()):
                return []
            self._changed.wait_for(lambda: self.closed or self._may_begin())
            if self.closed:
                return []
            # Towards the end of a round, calls become shorter, so that the hands finish together.
            most = self._waiting_cost / (2 * self._hands)
            most = min(most, CALL_S / self._cost_s) if self._cost_s else 0
            call = [self._begin()]
            cost = call[0].cost
            while self._may_begin() and self._waiting[0].shared is call[0].shared:
                cost += self._waiting[0].cost
                if cost > most:
                    break
                call.append(self._begin())
            return call

    def done(self, call: Sequence[Job], outcomes: Sequence[Any], seconds: float) -> None:
        """Store the outcomes of a call, and its time, which sets the length of the next calls."""
        with self._changed:
            for job, outcome in zip(call, outcomes):
                job.outcome = outcome
            self._cost_s = seconds / sum(job.cost for job in call)
            self._changed.notify_all()

    def failed(self, call: Sequence[Job], error: Exception) -> None:
        """These jobs have failed; the error is raised when one of them is fetched."""
        with self._changed:
            for job in call:
                job.error = error
            self._changed.notify_all()

    def again(self, call: Sequence[Job]) -> None:
        """A hand was lost over these jobs: other hands do them next."""
        with self._changed:
            for job in reversed([job for job in call if job in self._taken]):
                self._let_go(job)
                self._wait_in_line(job, first=True)
            self._changed.notify_all()

    def leave(self, error: Exception) -> int:
        """A hand gives up; when the last one does, everything fails.

        Returns:
            The number of remaining hands.
        """
        with self._changed:
            self._hands -= 1
            if not self._hands:
                self._broken = error
                self._changed.notify_all()
            return self._hands

    def close(self) -> None:
        """Release all hands, and drop all jobs."""
        with self._changed:
            self.closed = True
            self._waiting.clear()
            self._taken.clear()
            self._large = 0
            self._changed.notify_all()

    def _long(self) -> bool:
        """Whether the next job alone fills a call."""
        return self._waiting[0].cost * self._cost_s >= CALL_S

    def _may_begin(self) -> bool:
        if not self._waiting:
            return False
        job = self._waiting[0]
        return not job.large or self._large < self._room or job is self._wanted

    def _begin(self) -> Job:
        job = self._waiting[0]
        self._leave_the_line(job)
        self._taken[job] = None
        self._large += job.large
        return job

    def _let_go(self, job: Job) -> None:
        if job in self._taken:
            del self._taken[job]
            self._large -= job.large

    def _wait_in_line(self, job: Job, first: bool = False) -> None:
        self._waiting_cost += job.cost
        if first:
            self._waiting.appendleft(job)
        else:
            self._waiting.append(job)

    def _leave_the_line(self, job: Job) -> None:
        if job in self._waiting:
            self._waiting.remove(job)
            self._waiting_cost -= job.cost

    def _forget(self, job: Job) -> None:
        self._leave_the_line(job)
        self._let_go(job)
        self._changed.notify_all()
