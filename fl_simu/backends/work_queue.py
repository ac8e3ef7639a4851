"""Who trains which UE next: jobs shared out, in calls of about the same length, to hands that work side by side.

It knows neither Ray nor torch, and nothing in it decides a result: a job's outcome follows from the job alone.
"""

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any, Deque, Dict, List, Optional, Sequence

# Seconds that a call of several jobs is meant to take: hundreds of times what a call itself costs, and no long
# wait for somebody who wants only one of its jobs.
CALL_S = 0.1


@dataclass(eq=False)
class Job:
    """One UE's training in one round.

    Args:
        content: what a hand needs for it.
        shared: what all jobs of one call must have in common; the same object in each.
        cost: samples to train on; only ratios matter.
        large: whether there is room for a certain number of such outcomes only.
        due: whoever is due first is begun first.
        tries: how often a hand was lost over it.
        outcome: what came of it; None before that.
        error: why nothing will.
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
    """Jobs that wait, that hands have taken, and that are done and not yet fetched.

    Whoever is waited for comes first, then the oldest round, in it what is due first, of that the largest: so what
    comes too late for its round may be given up before anybody has begun with it. When `room` large outcomes are
    taken or kept, no hand begins another large job unless somebody waits for it, and what was not fetched in
    earlier rounds is let go of: it is done anew if it is asked for after all.

    Args:
        hands: number of those who take.
        room: number of large outcomes to keep, at least 1.
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
        """Hand in a round's jobs; the hands begin at once.

        Args:
            first: whether they come before all that wait, in their order.
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
        """The outcome, as soon as it is there; the queue keeps it no longer.

        Raises:
            Exception: what the job, or the last of the hands, failed with.
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
        """Nobody will fetch this one. A hand that is at it already ends it for nothing."""
        with self._changed:
            self._forget(job)

    def take(self, ahead: bool = False) -> List[Job]:
        """The jobs of a hand's next call, as soon as there are any; empty when the queue is closed.

        Args:
            ahead: for a hand that is busy, and does not wait: empty as well where too little is left to be taken
                from those who are not, and where a job takes long, which then may be given up before it is begun.
        """
        with self._changed:
            if ahead and (len(self._waiting) <= self._hands or not self._may_begin() or self._long()):
                return []
            self._changed.wait_for(lambda: self.closed or self._may_begin())
            if self.closed:
                return []
            # Towards the end of a round the calls become shorter, so that the hands end together.
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
        """What came of a call, and how long it took, after which the length of the next ones is chosen."""
        with self._changed:
            for job, outcome in zip(call, outcomes):
                job.outcome = outcome
            self._cost_s = seconds / sum(job.cost for job in call)
            self._changed.notify_all()

    def failed(self, call: Sequence[Job], error: Exception) -> None:
        """Nothing will come of these jobs; whoever fetches one is told why."""
        with self._changed:
            for job in call:
                job.error = error
            self._changed.notify_all()

    def again(self, call: Sequence[Job]) -> None:
        """A hand was lost over these jobs: somebody else does them, next."""
        with self._changed:
            for job in reversed([job for job in call if job in self._taken]):
                self._let_go(job)
                self._wait_in_line(job, first=True)
            self._changed.notify_all()

    def leave(self, error: Exception) -> int:
        """A hand gives up; with the last one everything fails.

        Returns:
            How many there are still.
        """
        with self._changed:
            self._hands -= 1
            if not self._hands:
                self._broken = error
                self._changed.notify_all()
            return self._hands

    def close(self) -> None:
        """Let all hands go, and everything else."""
        with self._changed:
            self.closed = True
            self._waiting.clear()
            self._taken.clear()
            self._large = 0
            self._changed.notify_all()

    def _long(self) -> bool:
        """Whether the next job alone is a call."""
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
