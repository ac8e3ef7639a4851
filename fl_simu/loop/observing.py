"""Observers, told of the whole run beside its rounds."""

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
    """Tell observers that a run begins and, however it leaves what is inside, that it is over.

    Args:
        observers: told in this order of its beginning, and in the opposite one of its end.
        experiment: of the run.
        rounds: that it has already.
        folder: of the run, if it has one.

    Yields:
        A list for the summary of the run; empty where it was broken off.
    """
    summaries: List[Summary] = []
    with contextlib.ExitStack() as stack:
        for observer in observers:
            stack.callback(lambda one: one.ended(summaries[-1] if summaries else None), observer)
            observer.began(experiment, rounds, folder)
        yield summaries
