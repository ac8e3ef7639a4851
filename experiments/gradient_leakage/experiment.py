"""What an upload leaks: the notes' two seeds, 200 trials, fewer bits, more local steps.

Reference: notes, gradient leakage.
"""

import re
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence, Tuple

import numpy as np

from fl_simu.cli.leakage import FIRST, Record, first_pictures, percent, quarters, row, shown, summary
from fl_simu.results.comparisons import Comparison
from fl_simu.results.figures import write_figures
from fl_simu.results.files import write_json
from fl_simu.results.leakage_plots import Row, losses_figure, pictures_figure, rates_figure
from fl_simu.studies.leakage import Trial, Trials, run_trials
from fl_simu.studies.leakage_setting import Setting
from fl_simu.studies.script import Setup

# The notes: the seed, whether the image was recovered, the loss after the first iteration.
NOTES = ((1234, "no", "1000"), (78483847, "yes", "70"))
OTHER = "the notes attack the first image of the complete CIFAR-100, which is not in the sample or the digits"

# All layers of a code of 2 + 2 bits equal one layer of 4 bits, bit for bit.
TWO_AND_TWO = {"name": "affine", "base_bits": 2, "enhancement_bits": (2,)}
CODECS: Dict[str, Dict[str, Any]] = {
    "float32": {},
    "float16": {"codec": {"name": "float16", "remainder": False}},
    "8 bits": {"codec": {"name": "affine", "base_bits": 8}},
    "base + enhancement, 2 + 2 bits": {"codec": TWO_AND_TWO},
    "base of 2 bits": {"codec": TWO_AND_TWO, "layers": 1},
}
STEPS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Size:
    """The amount of work; (a), (b) and (c) are the parts in the README.

    Args:
        data: the data set.
        iterations: of L-BFGS.
        images, seeds: number of each in (a); the arms of (b) and (c) have the first images, with seed 0.
        of_notes, of_codecs, of_steps: number of images in each arm.
        codecs, steps: the arms.
    """

    data: str = "cifar100"
    iterations: int = 300
    images: int = 20
    seeds: int = 10
    of_notes: int = 10
    of_codecs: int = 10
    of_steps: int = 6
    codecs: Sequence[str] = tuple(CODECS)
    steps: Sequence[int] = STEPS


QUICK = Size("digits", 20, 8, 1, 3, 4, 2, ("float32", "8 bits", "base of 2 bits"), (1, 4))

Arm = Tuple[Trials, List[Trial], List[Record]]


@dataclass(frozen=True)
class Runner:
    """Runs arms in folders below the script's folder, and keeps completed trials there."""

    setup: Setup
    size: Size

    def run(self, folder: str, trials: List[Trial], **changes: Any) -> Arm:
        method = {"name": "dlg", "iterations": self.size.iterations}
        kept = Trials(self.setup.out / folder, Setting(**{"method": method, "data": self.size.data, **changes}))
        self.setup.say(f"\n{folder}")
        return kept, trials, run_trials(kept, trials, self.setup.jobs, self.setup.data_dir, self.setup.say)


def reproduce(setup: Setup) -> List[Comparison]:
    size = QUICK if setup.quick else Size()
    runner = Runner(setup, size)
    seeds = runner.run(
        "note-seeds", [Trial(i, seed) for seed, *_ in NOTES for i in range(size.of_notes)], manual=True
    )
    many = runner.run("first-loss", [Trial(i, seed) for seed in range(size.seeds) for i in range(size.images)])
    codecs = {
        name: runner.run("bits/" + "-".join(re.findall(r"\w+", name)), first(size.of_codecs), **CODECS[name])
        if CODECS[name]
        else many
        for name in size.codecs
    }
    steps = {
        count: runner.run(f"steps/{count}", first(size.of_steps), local_steps=count) if count > 1 else many
        for count in size.steps
    }
    codecs = {name: part(arm, size.of_codecs) for name, arm in codecs.items()}
    steps_named = {f"{count}": part(arm, size.of_steps) for count, arm in steps.items()}
    found = {name: summary(records) for name, (_, _, records) in {**codecs, **steps_named}.items()}
    write_json(setup.out / "results.json", {"first_loss": summary(many[2]), "by_first_loss": early(many), **found})
    write_figures(setup.out / "figures", figures(many, seeds, codecs, steps_named))
    return [
        *of_notes(seeds),
        *of_many(many),
        *of_arms("bits", codecs),
        *of_arms("local steps", steps_named),
    ]


def first(images: int) -> List[Trial]:
    """The trials of an arm of (b) or (c)."""
    return [Trial(image, 0) for image in range(images)]


def part(arm: Arm, images: int) -> Arm:
    """The trials of an arm that all arms have: same images, same weights, same starts."""
    kept, trials, records = arm
    wanted = set(first(images))
    pairs = [(trial, record) for trial, record in zip(trials, records) if trial in wanted]
    return kept, [trial for trial, _ in pairs], [record for _, record in pairs]


def early(arm: Arm) -> Dict[str, Any]:
    """Whether an early loss predicts a success."""
    return {name: quarters(arm[2], at) for name, at in FIRST.items()}


def of_notes(seeds: Arm) -> List[Comparison]:
    """The notes' two seeds, on the first image and on all."""
    found = []
    for seed, back, loss in NOTES:
        records = [record for record in seeds[2] if record["seed"] == seed]
        after_one = float(np.median([one["losses"][1] for one in records if len(one["losses"]) > 1]))
        ours = "yes" if records[0]["success"] else "no"
        found += [
            Comparison(f"seed {seed}: image 0 is recovered", back, ours, why=OTHER),
            Comparison(f"seed {seed}: images recovered", None, rate(summary(records))),
            Comparison(
                f"seed {seed}: loss after one iteration, median over the images", loss, after_one, why=OTHER
            ),
        ]
    return found


def of_many(arm: Arm) -> List[Comparison]:
    """The success rate over many trials, and by quarters of an early loss."""
    told = summary(arm[2])
    found: Dict[str, Any] = {"DLG: success rate": rate(told)}
    found["DLG: labels found [%]"] = 100 * told["labels_found"] / told["labels"]
    found["DLG: diverged [%]"] = 100 * told["diverged"] / told["trials"]
    for name, one in early(arm).items():
        found[f"{name}: pairs in which the success had the smaller loss [%]"] = 100 * one["pairs"]
        for at, quarter in enumerate(one["quarters"], 1):
            what = "{}, quarter {} ({:.4g} to {:.4g})".format(name, at, quarter["from"], quarter["to"])
            found[f"{what}: success rate"] = rate(quarter)
    return [Comparison(what, None, value) for what, value in found.items()]


def of_arms(kind: str, arms: Dict[str, Arm]) -> List[Comparison]:
    """The leakage of each arm."""
    found: Dict[str, Any] = {}
    for name, (_, _, records) in arms.items():
        told = summary(records)
        found[f"{kind}, {name}: success rate"] = rate(told)
        found[f"{kind}, {name}: MSE, median"] = told["mse_median"]
        found[f"{kind}, {name}: SSIM, median"] = told["ssim_median"]
        found[f"{kind}, {name}: labels found [%]"] = 100 * told["labels_found"] / told["labels"]
    return [Comparison(what, None, value) for what, value in found.items()]


def rate(told: Dict[str, Any]) -> str:
    """Successes, trials, success rate and its 95 % interval."""
    share = percent(told["successes"] / told["trials"], told["interval"])
    return "{} of {}: {}".format(told["successes"], told["trials"], share)


def figures(many: Arm, seeds: Arm, codecs: Dict[str, Arm], steps: Dict[str, Arm]) -> Dict[str, Any]:
    """All figures, by file name."""
    kept, trials, records = many
    by_seed = [row(seeds[0], pair) for pair in zip(*seeds[1:]) if pair[0].image < 3]
    by_loss = []
    for name, one in early(many).items():
        bars = [
            ("{:.3g}\nto {:.3g}".format(q["from"], q["to"]), q["successes"] / q["trials"], *q["interval"])
            for q in one["quarters"]
        ]
        by_loss.append((name, bars))
    return {
        "seeds.png": pictures_figure(by_seed, "The notes' two seeds"),
        "reconstructions.png": pictures_figure(
            [row(kept, one) for one in shown(trials, records)], "DLG: the image after so many iterations"
        ),
        "losses.png": losses_figure(
            [(one["losses"], one["success"]) for one in records], "DLG: what it minimises"
        ),
        "first-loss.png": rates_figure(by_loss, "Does a small first loss decide?"),
        "bits.png": pictures_figure(last_pictures(codecs), "What comes back of an upload in fewer bits"),
        "steps.png": pictures_figure(last_pictures(steps), "What comes back after more local steps"),
        "rates.png": rates_figure(
            [("bits of the upload", bars_of(codecs)), ("local steps", bars_of(steps))], "DLG: success rate"
        ),
    }


def bars_of(arms: Dict[str, Arm]) -> List[Tuple[str, float, float, float]]:
    """A bar for each arm."""
    told = {name: summary(arm[2]) for name, arm in arms.items()}
    return [
        (
            name.replace(", ", "\n").replace(" of ", "\nof ").replace(" + enh", " +\nenh"),
            one["success_rate"],
            *one["interval"],
        )
        for name, one in told.items()
    ]


def last_pictures(arms: Dict[str, Arm], rows: int = 6) -> List[Row]:
    """For each of the first trials, the true image and the last image of each arm."""
    found = []
    for at, trial in enumerate(next(iter(arms.values()))[1][:rows]):
        pictures = []
        for name, (kept, _, records) in arms.items():
            truth, images = first_pictures(kept, trial)
            pictures.append(
                ("{}\nMSE {:.1g}".format(name.replace(", ", "\n"), records[at]["mse"]), images[max(images)])
            )
        found.append(Row(trial.label.replace(", ", "\n"), [("true", truth), *pictures]))
    return found
