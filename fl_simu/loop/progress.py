"""Progress on the screen: a bar on a terminal, plain lines elsewhere."""

import math
import sys
from typing import Callable

from tqdm import tqdm

from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.results.attack_measures import in_words
from fl_simu.results.records import RoundRecord

WORDS = {"full": "full", "base": "base", "none": "rejected"}


class Lines(Observer):
    """One line per round.

    Args:
        say: prints a line.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        accepted = [outcome.accepted for outcome in record.ues]
        taken = ", ".join(f"{word} {accepted.count(kind)}" for kind, word in WORDS.items())
        accuracy = "not measured" if math.isnan(record.accuracy) else f"{record.accuracy:6.2%}"
        self.say(
            f"round {record.round:>3} of {coordinator.setting.rounds}: accuracy {accuracy}, "
            f"virtual time {record.time_s:8.2f} s, {taken}, {record.wall_time_s:.1f} s"
        )
        if record.attack is not None:
            self.say(" " * 17 + in_words(record.attack))


class Bar(Observer):
    """A bar that advances with every model that the BS fetches, and one line per round above it.

    Args:
        rounds: number of rounds to come.
        ues: number of uploads in a round.
    """

    def __init__(self, rounds: int, ues: int) -> None:
        self.ues = ues
        self.bar = tqdm(total=rounds * ues, unit="UE", file=sys.stdout, leave=False)
        self.lines = Lines(self.bar.write)

    def fetched(self, ue: int) -> None:
        self.bar.update()

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        # The model of a rejected UE is never fetched; the UE counts as done when its round ends.
        self.bar.update(-self.bar.n % self.ues)
        self.lines.aggregated(record, coordinator)


def progress(rounds: int, ues: int, say: Callable[[str], None]) -> Observer:
    """The progress display that suits the standard output of this process."""
    return Bar(rounds, ues) if sys.stdout.isatty() else Lines(say)
