"""What times the rounds of a run."""

from benchmarks.timing import Stopwatch
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.results.records import RoundRecord


class Laps(Observer, Stopwatch):
    """Notes the seconds of each round; to be told of it last of all."""

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        self.lap()
