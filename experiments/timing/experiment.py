"""Does the running time of Python hide the gain of a shorter upload? Wall-clock noise compared with virtual time.

The notes ask this question and suggest that sending and computing take times of the same order. One experiment
runs with sending times far below, equal to and far above the computing time, at 32 and at 4 bits a parameter,
several times with one seed. The virtual clock gives the gain of the shorter upload in a round. The wall clock
gives the scatter of a round's running time. If delays were slept in real time, this scatter could hide the gain.

Reference: notes, manual aggregation, question 4.
"""

from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any, Dict, List, Sequence, Tuple

from fl_simu.data.datasets import Dataset
from fl_simu.experiment import Experiment
from fl_simu.kernel.machine import keep_freed_memory
from fl_simu.loop.assemble import assemble
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.loop.plan import load_data, plan
from fl_simu.results.comparisons import Comparison
from fl_simu.results.figures import new_figure, write_figures
from fl_simu.results.files import write_json
from fl_simu.results.marks import COLOURS
from fl_simu.results.records import RoundRecord
from fl_simu.studies.script import Setup

COMPUTE_S = 1.0
# The time of a float32 upload at the mean rate, as a multiple of the compute time.
RATIOS = (0.001, 0.01, 0.1, 1.0, 10.0)
CODECS: Dict[str, Dict[str, Any]] = {"float32": {"name": "float32"}, "4 bits": {"name": "affine", "base_bits": 4}}
HIDDEN = 64
PARAMETERS = 784 * HIDDEN + HIDDEN + HIDDEN * 10 + 10


@dataclass(frozen=True)
class Times:
    """The durations of the rounds of one ratio and codec.

    Args:
        virtual_s: mean duration of a round on the virtual clock, for each repetition.
        wall_s: duration of each round on the wall clock, without the first round of each repetition.
    """

    virtual_s: Tuple[float, ...]
    wall_s: Tuple[float, ...]


class Collector(Observer):
    """Keeps the records."""

    def __init__(self) -> None:
        self.records: List[RoundRecord] = []

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        self.records.append(record)


def reproduce(setup: Setup) -> List[Comparison]:
    """Measure 5 rounds 5 times on MNIST, or 3 rounds 3 times on scikit-learn's digits."""
    repetitions, rounds = (3, 3) if setup.quick else (5, 5)
    data = {"name": "digits"} if setup.quick else {"name": "mnist", "train_samples": 8000, "test_samples": 2000}
    dataset = load_data(plan(Experiment.parse({"data": data, "model": "logistic_regression"})), setup.data_dir)
    times = {}
    for ratio in RATIOS:
        for codec in CODECS:
            records = [run(ratio, codec, rounds, data, dataset) for _ in range(repetitions)]
            times[ratio, codec] = measured(records)
            setup.say(
                f"sending {ratio:g} times computing, {codec}: {mean(times[ratio, codec].virtual_s):.4f} s a round"
            )
    told = {f"{ratio:g}, {codec}": vars(one) for (ratio, codec), one in times.items()}
    write_json(setup.out / "times.json", told)
    write_figures(setup.out / "figures", {"gain-and-noise.png": figure(times)})
    return comparisons(times)


def run(ratio: float, codec: str, rounds: int, data: Dict[str, Any], dataset: Dataset) -> List[RoundRecord]:
    """The records of one run."""
    rate_mbps = 32e-6 * PARAMETERS / (ratio * COMPUTE_S)
    values = {
        "rounds": rounds,
        "backend": "torch",
        "payload": "update",
        "data": data,
        "model": {"name": "mlp", "hidden": [HIDDEN]},
        "optimizer": {"name": "sgd", "lr": 0.1},
        "compute": {"name": "constant", "seconds": COMPUTE_S},
        "channel": {"name": "normal", "mean_mbps": rate_mbps, "std_mbps": rate_mbps / 3},
        "codec": CODECS[codec],
    }
    collector = Collector()
    keep_freed_memory()
    assemble(plan(Experiment.parse(values)), dataset, [collector]).run()
    return collector.records


def measured(repetitions: Sequence[Sequence[RoundRecord]]) -> Times:
    virtual_s = tuple(records[-1].time_s / len(records) for records in repetitions)
    return Times(virtual_s, tuple(record.wall_time_s for records in repetitions for record in records[1:]))


def gain_s(times: Dict[Tuple[float, str], Times], ratio: float) -> float:
    """The gain of 4 bits instead of 32 in a round, on the virtual clock."""
    return times[ratio, "float32"].virtual_s[0] - times[ratio, "4 bits"].virtual_s[0]


def noise_s(times: Dict[Tuple[float, str], Times]) -> float:
    """Deviation of a round's wall-clock time; the larger of the two codecs' means."""
    return max(mean(stdev(times[ratio, codec].wall_s) for ratio in RATIOS) for codec in CODECS)


def comparisons(times: Dict[Tuple[float, str], Times]) -> List[Comparison]:
    """The gain of each ratio, in s and relative to the noise; the notes give no numbers."""
    noise = noise_s(times)
    spread = max(max(one.virtual_s) - min(one.virtual_s) for one in times.values())
    found = [
        Comparison("spread of the virtual time over repetitions [s]", None, spread),
        Comparison("deviation of a round's wall-clock time [s]", None, noise),
    ]
    for ratio in RATIOS:
        gain = gain_s(times, ratio)
        found.append(Comparison(f"sending {ratio:g} times computing: gain a round, virtual time [s]", None, gain))
        found.append(
            Comparison(f"sending {ratio:g} times computing: gain over wall-clock noise", None, gain / noise)
        )
    return found


def figure(times: Dict[Tuple[float, str], Times]) -> Any:
    """The gain in a round over the ratio, with the noise of the wall clock as a band."""
    title = "What 4 bits instead of 32 gain a round, and what the wall clock could show"
    drawn = new_figure(title, 4.2, title_size=11)
    axes = drawn.subplots()
    gains = [gain_s(times, ratio) for ratio in RATIOS]
    axes.loglog(RATIOS, gains, "o-", color=COLOURS["full"], label="gain, virtual time (the same each time)")
    axes.axhspan(
        0, noise_s(times), color=COLOURS["none"], alpha=0.25, label="one deviation of a round's wall-clock time"
    )
    axes.set(xlabel="time to send 32 bits a parameter, over compute time", ylabel="seconds a round")
    axes.grid(True, alpha=0.3)
    axes.legend(frameon=False)
    return drawn
