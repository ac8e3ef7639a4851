"""An observer that times the rounds of a run."""

from benchmarks.timing import Stopwatch
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.results.records import RoundRecord


class Laps(Observer, Stopwatch):
    """Records the seconds of each round; must be the last of the observers."""

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        self.lap()
