"""Wall-clock seconds of rounds."""

import time
from typing import Callable, List


def timed(rounds: int, one_round: Callable[[int], None]) -> List[float]:
    """Run rounds 0, 1, ... and time each."""
    seconds = []
    for round in range(rounds):
        began = time.perf_counter()
        one_round(round)
        seconds.append(time.perf_counter() - began)
    return seconds


class Stopwatch:
    """Times rounds that a framework runs itself: call `lap` at the end of each round."""

    def __init__(self) -> None:
        self.seconds: List[float] = []
        self.start()

    def start(self) -> None:
        """Call this when a round begins."""
        self._began = time.perf_counter()

    def lap(self) -> None:
        """Call this when a round has ended, and the next begins."""
        self.seconds.append(time.perf_counter() - self._began)
        self.start()
