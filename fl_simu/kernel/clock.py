"""Virtual time: a heap of events, totally ordered by (time, priority, sequence)."""

import heapq
import math
import time
from typing import Any, List, Optional, Tuple

Entry = Tuple[float, int, int, Any]


class Clock:
    """The queue of future events, and the current virtual time.

    At equal times the event with the lower priority number comes first, then the one that was pushed first. The
    order of events therefore follows from the order of the pushes. The wall clock is never read, except with
    `realtime`, where it only determines how long to sleep.

    Args:
        realtime: virtual seconds per second of wall-clock time; None never waits.

    >>> clock = Clock()
    >>> clock.push(2.0, "late"); clock.push(1.0, "early")
    >>> clock.pop(), clock.now_s
    ('early', 1.0)

    Reference: the ordering of SimPy's event queue.
    """

    def __init__(self, realtime: Optional[float] = None) -> None:
        self.now_s = 0.0
        self.realtime = realtime
        self._heap: List[Entry] = []
        self._sequence = 0
        self._started: Optional[Tuple[float, float]] = None

    def __len__(self) -> int:
        return len(self._heap)

    def next_s(self) -> float:
        """Time of the next event; infinity if none is left."""
        return self._heap[0][0] if self._heap else math.inf

    def next_place(self) -> Tuple[float, int]:
        """Time and priority of the next event; (infinity, 0) if none is left."""
        return self._heap[0][:2] if self._heap else (math.inf, 0)

    def first(self) -> Any:
        """The next event; None if none is left."""
        return self._heap[0][3] if self._heap else None

    def push(self, time_s: float, event: Any, priority: int = 0) -> None:
        """Schedule an event.

        Raises:
            ValueError: the time lies before now, or is not a number.
        """
        if not time_s >= self.now_s:
            raise ValueError(f"an event at {time_s} s lies before now, {self.now_s} s")
        heapq.heappush(self._heap, (time_s, priority, self._sequence, event))
        self._sequence += 1

    def pop(self) -> Any:
        """Advance to the time of the next event and return the event.

        Raises:
            IndexError: no event is left.
        """
        time_s, _, _, event = heapq.heappop(self._heap)
        if self.realtime is not None:
            self._sleep_until(time_s, self.realtime)
        self.now_s = time_s
        return event

    def _sleep_until(self, time_s: float, factor: float) -> None:
        if self._started is None:
            self._started = (time.monotonic(), self.now_s)
        wall, virtual = self._started
        time.sleep(max(0.0, wall + (time_s - virtual) / factor - time.monotonic()))

    def pending(self) -> List[Entry]:
        """The future entries in order, for a checkpoint."""
        return sorted(self._heap)

    def restore(self, now_s: float, entries: List[Entry]) -> None:
        """Restore the entries from `pending`, and the time of the checkpoint."""
        self.now_s = now_s
        self._heap = list(entries)
        heapq.heapify(self._heap)
        self._sequence = 1 + max((entry[2] for entry in entries), default=-1)
