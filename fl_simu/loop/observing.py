"""Notifies observers of the beginning and the end of a run."""

import contextlib
from pathlib import Path
from typing import Iterator, List, Optional, Sequence

from fl_simu.experiment import Experiment
from fl_simu.loop.coordinator import Observer
from fl_simu.results.records import Summary


@contextlib.contextmanager
def observed(
    observers: Sequence[Observer], experiment: Experiment, rounds: int = 0, folder: Optional[Path] = None
) -> Iterator[List[Summary]]:
    """Notify observers that a run begins and, however the body ends, that it is over.

    Args:
        observers: notified of the beginning in this order, and of the end in reverse order.
        experiment: of the run.
        rounds: number of rounds that have already ended.
        folder: of the run, if it has one.

    Yields:
        A list for the summary of the run; it stays empty if the run is interrupted.
    """
    summaries: List[Summary] = []
    with contextlib.ExitStack() as stack:
        for observer in observers:
            stack.callback(lambda one: one.ended(summaries[-1] if summaries else None), observer)
            observer.began(experiment, rounds, folder)
        yield summaries
