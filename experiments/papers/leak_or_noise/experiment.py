"""Does a base layer of few bits leak less of an image than privacy noise that costs the same accuracy?

Training first measures the accuracy that each base layer costs, and the noise that costs the same. Then gradients
of single images are attacked through both, with the same images, weights, starts, clipping and attacks.
"""

from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Sequence, Tuple, Union

from fl_simu.api import run
from fl_simu.cli.leakage import first_pictures
from fl_simu.experiment import Experiment
from fl_simu.results.comparisons import Comparison
from fl_simu.results.figures import new_figure, write_figures
from fl_simu.results.files import write_json
from fl_simu.results.findings import AGREES, UNTOLD, Finding, Reading, inequality
from fl_simu.results.intervals import student
from fl_simu.results.leakage_plots import Row, pictures_figure
from fl_simu.studies.leakage import Trial, Trials, run_trials
from fl_simu.studies.leakage_setting import Setting
from fl_simu.studies.script import Setup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OURS = "ours, before the runs"
# All UEs clip to this norm, so that neither the attack nor the noise depends on the norm of a gradient.
CLIP = {"name": "clip", "norm": 1.0}
# A smaller loss cannot be told from zero: a base that costs less is compared with noise that costs this.
LEAST_LOSS = 0.005
# The attack's weights of total variation; on either side, the weight with the best result counts.
TOTAL_VARIATION = (0.01, 0.1, 0.3)
FLOAT32 = "float32"

# Each UE makes one full-batch step, as the attacked UE does. With two UEs a round, the effect of a codec or of
# noise on one upload is hardly averaged out. At rate 1 an update is its gradient except for the sign.
TRAINING: Dict[str, Any] = {
    "ues": 72,
    "ues_per_round": 2,
    "payload": "update",
    "backend": "torch",
    "model": "dlg_lenet",
    "data": {"name": "digits", "scale": "unit"},
    "optimizer": {"name": "sgd", "lr": 1.0},
    "training": {"epochs": 1, "batch_size": 64},
    "channel": {"name": "constant", "rate_mbps": 50.0},
    "evaluation": {"every": 5},
}
# The BS takes the base and does without the enhancement.
BASE_ALONE = {"name": "base_then_enhancement", "receive_s": float("inf"), "wait_s": 0.0}


@dataclass(frozen=True)
class Size:
    """The amount of work.

    Args:
        bits: of the base layers.
        noises: standard deviations of the noise levels that are tried, in ascending order.
        rounds: of training; the accuracy of a run is the mean over the last third of them.
        trained: seeds of training.
        seeds: of attacks.
        images: number of images that each seed attacks.
        weights: of total variation.
        iterations: of an attack.
    """

    bits: Sequence[int] = (1, 2, 3)
    noises: Sequence[float] = (0.005, 0.01, 0.02, 0.03, 0.04, 0.06, 0.08, 0.16)
    rounds: int = 300
    trained: Sequence[int] = tuple(range(1, 11))
    seeds: Sequence[int] = (1, 2, 3, 4, 5)
    images: int = 6
    weights: Sequence[float] = TOTAL_VARIATION
    iterations: int = 400


QUICK = Size((1, 2), (0.01, 0.02, 0.04, 0.08), 150, (1, 2, 3), (1, 2, 3), 2, TOTAL_VARIATION[1:], 100)


class Leak(NamedTuple):
    """The leakage of one arm: for each trial, the best result over the weights of total variation.

    Args:
        psnr_db, ssim: for each seed, the mean over its images.
        pictures: (true image, reconstruction) of the first trials.
        labels: share of the labels that the attack read.
    """

    psnr_db: Sequence[float]
    ssim: Sequence[float]
    pictures: Sequence[Tuple[Any, Any]]
    labels: float


def base(bits: int) -> Dict[str, Any]:
    """A code of 8 bits whose base has `bits` bits."""
    return {"name": "affine", "base_bits": bits, "enhancement_bits": (8 - bits,)}


def noisy(std: float) -> List[Dict[str, Any]]:
    """The Gaussian mechanism at the UE: its noise multiplier is std, as the clipping norm is 1."""
    return [CLIP, {"name": "gaussian_noise", "std": std}]


def reproduce(setup: Setup) -> List[Union[Comparison, Finding]]:
    size = QUICK if setup.quick else Size()
    accuracies = {FLOAT32: trained(setup, size, FLOAT32)}
    for bits in size.bits:
        accuracies[named(bits)] = trained(
            setup, size, named(bits), codec={**base(bits), "enhancement_bits": [8 - bits]}, protocol=BASE_ALONE
        )
    for std in size.noises:
        accuracies[f"noise {std:g}"] = trained(setup, size, f"noise {std:g}", transforms=noisy(std))
    lost = {name: mean(accuracies[FLOAT32]) - mean(found) for name, found in accuracies.items()}
    noises = {bits: equal_noise(size.noises, lost, lost[named(bits)]) for bits in size.bits}
    leaks = {FLOAT32: attacked(setup, size, FLOAT32, transforms=[CLIP])}
    for bits in size.bits:
        leaks[named(bits)] = attacked(setup, size, named(bits), transforms=[CLIP], codec=base(bits), layers=1)
    for std in sorted(set(noises.values())):
        leaks[f"noise {std:g}"] = attacked(setup, size, f"noise {std:g}", transforms=noisy(std))
    told = {name: {"psnr_db": one.psnr_db, "ssim": one.ssim, "labels": one.labels} for name, one in leaks.items()}
    write_json(setup.out / "results.json", {"accuracies": accuracies, "noises": noises, "leaks": told})
    figures = {"leak-over-loss.png": loss_figure(lost, noises, leaks), "pictures.png": pictures(noises, leaks)}
    write_figures(setup.out / "figures", figures)
    return [*claims(size, accuracies, noises, leaks, setup.quick), *values(accuracies, noises, leaks)]


def named(bits: int) -> str:
    """The name of a base layer."""
    return f"base of {bits} bit{'s' * (bits > 1)}"


def trained(setup: Setup, size: Size, name: str, **changes: Any) -> List[float]:
    """The accuracy of each seed, 0 to 1: the mean over the last third of the rounds."""
    found = []
    for seed in size.trained:
        table = {**TRAINING, "transforms": [CLIP], "rounds": size.rounds, "seed": seed, **changes}
        records = run(Experiment.parse(table)).records
        late = [one.accuracy for one in records[2 * size.rounds // 3 :] if one.accuracy == one.accuracy]
        found.append(mean(late))
    setup.say("trained, {}: {}".format(name, ", ".join(f"{100 * one:.2f}%" for one in found)))
    return found


def equal_noise(noises: Sequence[float], lost: Dict[str, float], loss: float) -> float:
    """The smallest noise with this loss, or with LEAST_LOSS if that is more, by linear interpolation.

    If none of the noises that were tried loses as much, the largest of them.
    """
    wanted, before, at = max(loss, LEAST_LOSS), 0.0, 0.0
    for std in noises:
        here = lost[f"noise {std:g}"]
        if here >= wanted:
            return float(f"{before + (std - before) * (wanted - at) / (here - at):.3g}")
        before, at = std, here
    return float(noises[-1])


def attacked(setup: Setup, size: Size, name: str, **changes: Any) -> Leak:
    """Attack the same images from the same starts with each weight of total variation."""
    trials = [Trial(image, seed) for seed in size.seeds for image in range(size.images)]
    records, kept = [], []
    for weight in size.weights:
        method = {"name": "inverting_gradients", "iterations": size.iterations, "total_variation": weight}
        setting = Setting(method=method, data="digits", lr=1.0, **changes)
        folder = Trials(setup.out / "trials" / "{}-{}".format(name.replace(" ", "-"), weight), setting)
        records.append(run_trials(folder, trials, setup.jobs, setup.data_dir, setup.say))
        kept.append(folder)
    best = [
        max(range(len(kept)), key=lambda at, one=one: records[at][one]["psnr_db"]) for one in range(len(trials))
    ]
    shown = []
    for one, trial in enumerate(trials[: size.images]):
        truth, images = first_pictures(kept[best[one]], trial)
        shown.append((truth, images[max(images)]))
    return Leak(
        by_seed(size, [max(found[one]["psnr_db"] for found in records) for one in range(len(trials))]),
        by_seed(size, [max(found[one]["ssim"] for found in records) for one in range(len(trials))]),
        shown,
        mean(found["labels_found"] for found in records[0]),
    )


def by_seed(size: Size, numbers: Sequence[float]) -> List[float]:
    """The mean over the images of each seed."""
    return [mean(numbers[at : at + size.images]) for at in range(0, len(numbers), size.images)]


def claims(
    size: Size,
    accuracies: Dict[str, List[float]],
    noises: Dict[int, float],
    leaks: Dict[str, Leak],
    quick: bool,
) -> List[Finding]:
    """The claims that were made before the runs, with their verdicts."""
    verdicts = QUICK_VERDICTS if quick else VERDICTS
    full = [Reading(100 * one) for one in accuracies[FLOAT32]]
    found = [
        inequality(
            "Accuracy with a base of 2 bits is within 1 point of that with float32",
            OURS,
            [Reading(100 * one) for one in accuracies[named(2)]],
            full,
            "points",
            within=1.0,
            expected=verdicts.get("cost", ""),
        ),
        inequality(
            "A base of 2 bits leaks less than float32 (PSNR)",
            OURS,
            readings(leaks[named(2)].psnr_db),
            readings(leaks[FLOAT32].psnr_db),
            "dB",
            expected=verdicts.get("hides", ""),
        ),
    ]
    for measure, unit in (("psnr_db", "dB"), ("ssim", "")):
        for bits in size.bits if measure == "psnr_db" else (2,):
            noise, layer = (leaks[one] for one in (f"noise {noises[bits]:g}", named(bits)))
            found.append(
                inequality(
                    "Noise that costs as much accuracy as a {} leaks less than this base ({})".format(
                        named(bits), measure.partition("_")[0].upper()
                    ),
                    OURS,
                    readings(getattr(noise, measure)),
                    readings(getattr(layer, measure)),
                    unit,
                    expected=verdicts.get(f"{measure} {bits}", ""),
                )
            )
    return found


# The recorded verdicts.
VERDICTS: Dict[str, str] = dict.fromkeys(
    ("cost", "hides", "psnr_db 1", "psnr_db 2", "psnr_db 3", "ssim 2"), AGREES
)
QUICK_VERDICTS: Dict[str, str] = {
    "cost": UNTOLD,
    "hides": UNTOLD,
    "psnr_db 1": AGREES,
    "psnr_db 2": UNTOLD,
    "ssim 2": UNTOLD,
}


def readings(numbers: Sequence[float]) -> List[Reading]:
    return [Reading(one) for one in numbers]


def values(
    accuracies: Dict[str, List[float]], noises: Dict[int, float], leaks: Dict[str, Leak]
) -> List[Comparison]:
    """The values of every arm, with the 95 % interval of the mean over the seeds."""
    found = [Comparison(f"accuracy, {name} [%]", None, spread(one, 100)) for name, one in accuracies.items()]
    found += [
        Comparison(f"noise that costs as much as a {named(bits)}", None, std) for bits, std in noises.items()
    ]
    for name, leak in leaks.items():
        found.append(Comparison(f"PSNR, {name} [dB]", None, spread(leak.psnr_db)))
        found.append(Comparison(f"SSIM, {name}", None, spread(leak.ssim)))
        found.append(Comparison(f"labels read, {name} [%]", None, 100 * leak.labels))
    return found


def spread(numbers: Sequence[float], times: float = 1.0) -> str:
    middle, low, high = student([times * one for one in numbers])
    return f"{middle:.4g} [{low:.4g}, {high:.4g}]"


def loss_figure(lost: Dict[str, float], noises: Dict[int, float], leaks: Dict[str, Leak]) -> "Figure":
    """PSNR over the loss of accuracy: base layers, and for each the noise that it is compared with."""
    figure = new_figure("What an upload leaks, and what that costs in accuracy")
    axes = figure.subplots()
    layers = {named(bits): lost[named(bits)] for bits in noises}
    # A noise that was not tried lies on a line between those that were.
    noise = {}
    for bits, std in noises.items():
        name = f"noise {std:g}"
        noise[name] = lost.get(name, max(lost[named(bits)], LEAST_LOSS))
    for places, marker, label, above in (
        ({FLOAT32: 0.0}, "D", FLOAT32, 6),
        (layers, "o", "base layer", 6),
        (noise, "s", "Gaussian noise", -11),
    ):
        spreads = [student(leaks[name].psnr_db) for name in places]
        x, y = [100 * one for one in places.values()], [one[0] for one in spreads]
        axes.errorbar(x, y, [one[2] - one[0] for one in spreads], fmt=marker, capsize=3, label=label)
        for name, *place in zip(places, x, y):
            axes.annotate(name, place, xytext=(6, above), textcoords="offset points", fontsize=7)
    axes.set_xscale("symlog", linthresh=1)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(x=0.15)
    axes.set(xlabel="accuracy lost [points]", ylabel="PSNR of the reconstruction [dB]")
    axes.legend(frameon=False)
    return figure


def pictures(noises: Dict[int, float], leaks: Dict[str, Leak]) -> "Figure":
    """The first images, and the reconstruction of each through every arm."""
    arms = [FLOAT32] + [name for bits, std in noises.items() for name in (named(bits), f"noise {std:g}")]
    rows = []
    for at, (truth, _) in enumerate(leaks[FLOAT32].pictures):
        made = [
            (name.replace(" of ", "\nof ").replace("noise ", "noise\n"), leaks[name].pictures[at][1])
            for name in arms
        ]
        rows.append(Row(f"image {at}", [("true", truth), *made]))
    return pictures_figure(rows, "What came back: each base layer, and noise that costs as much accuracy")
