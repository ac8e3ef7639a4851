"""Figures on gradient leakage: images as an attack sees them come, and its losses."""

from typing import TYPE_CHECKING, Any, Dict, NamedTuple, Sequence, Tuple

import numpy as np

from fl_simu.results.figures import new_figure, plain_log_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 8
SUCCESS, FAILURE = "#0072B2", "#D55E00"


class Row(NamedTuple):
    """One trial.

    Args:
        label: beside it.
        truth: the true image, shape (C, H, W), 0..1.
        pictures: iteration -> image; 0 is the start.
    """

    label: str
    truth: np.ndarray
    pictures: Dict[int, np.ndarray]


def reconstructions_figure(rows: Sequence[Row], title: str) -> "Figure":
    """A line of images for each trial: the true one, the start, and what stood there after some iterations."""
    figure = new_figure(title, height=0.9 + 1.05 * len(rows))
    places = figure.subplots(len(rows), COLUMNS + 1, squeeze=False)
    for line, row in zip(places, rows):
        for axes in line:
            axes.axis("off")
        _show(line[0], row.truth, "true")
        line[0].text(-0.1, 0.5, row.label, transform=line[0].transAxes, ha="right", va="center", fontsize=7)
        for axes, iteration in zip(line[1:], _spread(sorted(row.pictures))):
            _show(axes, row.pictures[iteration], f"{iteration}" if iteration else "start")
    return figure


def _spread(iterations: Sequence[int]) -> Sequence[int]:
    """At most as many as there are columns, the first and the last among them."""
    if len(iterations) <= COLUMNS:
        return iterations
    chosen = np.linspace(0, len(iterations) - 1, COLUMNS).round().astype(int)
    return [iterations[at] for at in chosen]


def _show(axes: Any, image: np.ndarray, title: str) -> None:
    pixels = np.nan_to_num(image).clip(0, 1).transpose(1, 2, 0)
    axes.imshow(pixels if pixels.shape[2] == 3 else pixels[:, :, 0], cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, fontsize=7, pad=2)


def losses_figure(trials: Sequence[Tuple[Sequence[float], bool]], title: str) -> "Figure":
    """What the attack minimises, over its iterations, a line for each trial (losses, success)."""
    figure = new_figure(title)
    axes = figure.subplots()
    for success, colour, word in ((True, SUCCESS, "success"), (False, FAILURE, "failure")):
        lines = [losses for losses, won in trials if won == success]
        for at, losses in enumerate(lines):
            label = f"{word} ({len(lines)})" if at == 0 else None
            axes.plot(range(len(losses)), losses, color=colour, linewidth=0.7, alpha=0.5, label=label)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_yscale("log")
    axes.set(xlabel="iteration (0: the start)", ylabel="loss of the attack")
    plain_log_ticks(axes.yaxis, (1,))
    axes.legend(frameon=False)
    return figure


def rates_figure(bars: Sequence[Tuple[str, float, float, float]], title: str, xlabel: str) -> "Figure":
    """Success rates with their intervals, one bar for each (label, rate, low, high), all from 0 to 1."""
    figure = new_figure(title)
    axes = figure.subplots()
    for at, (_, rate, low, high) in enumerate(bars):
        axes.bar(at, 100 * rate, 0.6, color=SUCCESS)
        axes.plot([at, at], [100 * low, 100 * high], color="black", linewidth=1.2)
    axes.set_xticks(range(len(bars)))
    axes.set_xticklabels([label for label, *_ in bars])
    axes.set(xlabel=xlabel, ylabel="success rate [%], 95 % interval", ylim=(0, 100))
    return figure
