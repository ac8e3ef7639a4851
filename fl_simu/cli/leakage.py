"""Output of the command `attack leakage`."""

import math
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
import torch

from fl_simu.attacks.leakage.image_measures import best_order
from fl_simu.experiment import LARGEST_SEED
from fl_simu.kernel.errors import require
from fl_simu.kernel.limits import MOST
from fl_simu.results.figures import require_matplotlib, write_figures
from fl_simu.results.files import write_json, write_text
from fl_simu.results.intervals import wilson
from fl_simu.results.leakage_plots import Row, losses_figure, pictures_figure
from fl_simu.results.tables import Cells, markdown_table
from fl_simu.studies.leakage import Trial, Trials, run_trials
from fl_simu.studies.leakage_setting import Setting

Say = Callable[[str], None]
Record = Dict[str, Any]

# Early losses that may predict success: at the start, and after the first iteration.
FIRST = {"first loss": 0, "loss after one iteration": 1}

# Images with a larger mean squared error have diverged: at this value, pixels are off by ten times their range.
FAR = 100.0

# Images of one trial in a figure, without the true one.
COLUMNS = 8


def attack_leakage(
    setting: Setting,
    images: int,
    seeds: Sequence[int],
    jobs: int,
    data_dir: Optional[Path],
    out: Optional[Path],
    say: Say,
) -> Dict[str, Any]:
    """Attack the upload of every image with every seed; print and write the results.

    Args:
        setting: the upload under attack and the method.
        images: number of images, or of batches of them, at least 1.
        seeds: at least one.
        jobs: processes at a time.
        data_dir: as for a run.
        out: the folder; runs/leakage-<method>-<time> if None. Trials that have ended there are kept.
        say: prints a line.

    Returns:
        The content of results.json.

    Raises:
        UserError: a number out of range, no data, or a file that cannot be written.
    """
    require_matplotlib()
    require(1 <= images <= MOST // len(seeds), "--images", images, f"at least 1, at most {MOST:,} trials in all")
    name = setting.method["name"]
    folder = out or Path("runs") / time.strftime(f"leakage-{name}-%Y%m%d-%H%M%S")
    trials, wanted = Trials(folder, setting), [Trial(image, seed) for seed in seeds for image in range(images)]
    try:
        records = run_trials(trials, wanted, jobs, data_dir, say)
    except KeyboardInterrupt:
        say(f"\nstopped; the same command with --out {folder} continues")
        raise
    return report(trials, wanted, records, say)


def seeds_of(count: int, manual: Sequence[int]) -> Sequence[int]:
    """The seeds of `--manual-seed` if given, else as many as `--seeds` says, from 0."""
    require(1 <= count <= MOST, "--seeds", count, f"at least 1, at most {MOST:,}")
    for seed in manual:
        require(0 <= seed <= LARGEST_SEED, "--manual-seed", seed, f"0 to {LARGEST_SEED}")
    return manual or range(count)


def report(trials: Trials, wanted: Sequence[Trial], records: Sequence[Record], say: Say) -> Dict[str, Any]:
    """Print and write tables and figures on the trials of a folder; return the content of results.json."""
    found = {**summary(records), "by_first_loss": {name: quarters(records, at) for name, at in FIRST.items()}}
    text = "\n".join([markdown_table(summary_cells(found)), *first_loss_tables(found)])
    title = "{}, {}".format(trials.setting.method["name"], described(trials.setting))
    figures = {
        "reconstructions.png": pictures_figure([row(trials, one) for one in shown(wanted, records)], title),
        "losses.png": losses_figure([(one["losses"], one["success"]) for one in records], title),
    }
    write_json(trials.path / "results.json", found)
    write_text(trials.path / "table.md", text)
    written = write_figures(trials.path / "figures", figures)
    say("\n" + text)
    for path in [trials.path / "table.md", trials.path / "results.json", *written]:
        say(f"  {path}")
    return found


def described(setting: Setting) -> str:
    """The attacked upload, in a few words."""
    codec = dict(setting.codec)
    words = [codec.pop("name"), *(f"{key} {value}" for key, value in codec.items() if value not in ((), []))]
    layers = "" if setting.layers is None else f", {setting.layers} layer" + "s" * (setting.layers > 1)
    steps = "gradient" if setting.local_steps == 1 else f"update of {setting.local_steps} steps"
    images = "" if setting.batch_size == 1 else f" of {setting.batch_size} images"
    return f"{steps}{images}, {' '.join(words)}{layers}"


def summary(records: Sequence[Record]) -> Dict[str, Any]:
    """Counts, the success rate with its 95 % interval, and medians over the trials."""
    successes, labels = sum(one["success"] for one in records), sum(len(one["labels"]) for one in records)
    ended = [one["ended"] for one in records]
    return {
        "trials": len(records),
        "successes": successes,
        "success_rate": successes / len(records),
        "interval": list(wilson(successes, len(records))),
        "diverged": sum(one["ended"] == "diverged" or one["mse"] > FAR for one in records),
        "stood_still": ended.count("stood still"),
        "labels": labels,
        "labels_found": sum(one["labels_found"] for one in records),
        **{f"{name}_median": median(records, name) for name in ("mse", "psnr_db", "ssim", "gradient_distance")},
        "processor_s": sum(one["processor_s"] for one in records),
    }


def median(records: Sequence[Record], name: str) -> float:
    """The median over the trials that have a value."""
    values = [one[name] for one in records if one[name] is not None]
    return float(np.median(values)) if values else math.nan


def quarters(records: Sequence[Record], at: int) -> Dict[str, Any]:
    """How well an early loss predicts success: the success rate in each quarter of the trials, sorted by it.

    `pairs` is the share of (success, failure) pairs in which the success had the smaller loss: 1 if the loss
    decides the outcome, 1/2 if it carries no information (the area under the ROC curve).
    """
    losses = np.array([one["losses"][at] if at < len(one["losses"]) else math.inf for one in records])
    won = np.array([one["success"] for one in records])
    groups = np.array_split(np.argsort(losses, kind="stable"), 4) if len(records) >= 8 else []
    gaps = losses[~won][:, None] - losses[won]
    pairs = float(((gaps > 0) + 0.5 * (gaps == 0)).mean()) if gaps.size else math.nan
    return {
        "pairs": pairs,
        "quarters": [
            {
                "from": float(losses[group[0]]),
                "to": float(losses[group[-1]]),
                "trials": len(group),
                "successes": int(won[group].sum()),
                "interval": list(wilson(int(won[group].sum()), len(group))),
            }
            for group in groups
        ],
    }


def percent(share: float, interval: Sequence[float]) -> str:
    """A share and its interval.

    >>> percent(0.5, [0.4038, 0.5962])
    '50.0 % (40.4 to 59.6 %)'
    """
    return "{:.1f} % ({:.1f} to {:.1f} %)".format(100 * share, *(100 * limit for limit in interval))


def summary_cells(found: Dict[str, Any]) -> Cells:
    """A row for each measure."""
    return [
        ["measure", "value"],
        ["trials", str(found["trials"])],
        ["successes (MSE below 0.001)", str(found["successes"])],
        ["success rate (95 % Wilson interval)", percent(found["success_rate"], found["interval"])],
        ["diverged (MSE above 100, NaN or infinite)", str(found["diverged"])],
        ["stood still", str(found["stood_still"])],
        ["label recovered", "{} of {}".format(found["labels_found"], found["labels"])],
        ["MSE, median", "{:.3g}".format(found["mse_median"])],
        ["PSNR, median [dB]", "{:.1f}".format(found["psnr_db_median"])],
        ["SSIM, median", "{:.3f}".format(found["ssim_median"])],
        ["squared gradient distance, median", "{:.3g}".format(found["gradient_distance_median"])],
        ["processor time [s]", "{:.0f}".format(found["processor_s"])],
    ]


def first_loss_tables(found: Dict[str, Any]) -> List[str]:
    """A table for each early loss: success rate by quarter. No tables for fewer than 8 trials."""
    tables = []
    for name, told in found["by_first_loss"].items():
        rows = [
            [
                "{:.4g} to {:.4g}".format(one["from"], one["to"]),
                "{} of {}".format(one["successes"], one["trials"]),
                percent(one["successes"] / one["trials"], one["interval"]),
            ]
            for one in told["quarters"]
        ]
        if rows:
            tables.append(markdown_table([[f"{name}, by quarters", "successes", "rate"], *rows]))
    return tables


def shown(wanted: Sequence[Trial], records: Sequence[Record]) -> List[Tuple[Trial, Record]]:
    """Up to three successes and three failures, the first of each."""
    pairs = list(zip(wanted, records))
    won, lost = ([pair for pair in pairs if pair[1]["success"] == kind] for kind in (True, False))
    return won[: max(3, 6 - len(lost))] + lost[: max(3, 6 - len(won))]


def row(trials: Trials, one: Tuple[Trial, Record]) -> Row:
    """The true image of a trial, the start and later reconstructions; for a batch, its first image."""
    trial, record = one
    truth, kept = first_pictures(trials, trial)
    iterations = sorted(kept)
    if len(iterations) > COLUMNS:
        chosen = np.linspace(0, len(iterations) - 1, COLUMNS).round().astype(int)
        iterations = [iterations[at] for at in chosen]
    pictures = [(str(iteration) if iteration else "start", kept[iteration]) for iteration in iterations]
    label = "{}\nMSE {:.2g}\n{}".format(trial.label.replace(", ", "\n"), record["mse"], record["ended"])
    return Row(label, [("true", truth), *pictures])


def first_pictures(trials: Trials, trial: Trial) -> Tuple[np.ndarray, Dict[int, np.ndarray]]:
    """The first true image of a trial, and iteration -> its reconstruction, each (C, H, W)."""
    truth, kept = trials.pictures(trial)
    true = torch.from_numpy(truth)
    return truth[0], {at: images[best_order(true, torch.from_numpy(images))[0]] for at, images in kept.items()}
