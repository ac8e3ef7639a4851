"""Figures on gradient leakage: images during an attack, and its losses."""

from typing import TYPE_CHECKING, Any, NamedTuple, Sequence, Tuple

import numpy as np

from fl_simu.results.figures import new_figure, plain_log_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUCCESS, FAILURE = "#0072B2", "#D55E00"


class Row(NamedTuple):
    """One trial.

    Args:
        label: printed next to it.
        pictures: (description, image of shape (C, H, W)) from left to right; pixels are clipped to 0..1.
    """

    label: str
    pictures: Sequence[Tuple[str, np.ndarray]]


def pictures_figure(rows: Sequence[Row], title: str) -> "Figure":
    """Draw a line of images for each row, with the description above each image."""
    figure = new_figure(title, height=0.9 + 1.05 * len(rows))
    places = figure.subplots(len(rows), max(len(row.pictures) for row in rows), squeeze=False)
    for line, row in zip(places, rows):
        for axes in line:
            axes.axis("off")
        line[0].text(-0.1, 0.5, row.label, transform=line[0].transAxes, ha="right", va="center", fontsize=7)
        for axes, (what, image) in zip(line, row.pictures):
            _show(axes, image, what)
    return figure


def _show(axes: Any, image: np.ndarray, title: str) -> None:
    pixels = np.nan_to_num(image).clip(0, 1).transpose(1, 2, 0)
    axes.imshow(pixels if pixels.shape[2] == 3 else pixels[:, :, 0], cmap="gray", vmin=0, vmax=1)
    axes.set_title(title, fontsize=7, pad=2)


def losses_figure(trials: Sequence[Tuple[Sequence[float], bool]], title: str) -> "Figure":
    """Draw the attack's loss over its iterations, one line per trial; a trial is (losses, success)."""
    figure = new_figure(title)
    axes = figure.subplots()
    for success, colour, word in ((True, SUCCESS, "success"), (False, FAILURE, "failure")):
        lines = [losses for losses, won in trials if won == success]
        for at, losses in enumerate(lines):
            label = f"{word} ({len(lines)})" if at == 0 else None
            axes.plot(range(len(losses)), losses, color=colour, linewidth=0.7, alpha=0.5, label=label)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xticks([0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000])
    axes.set_xlim(0, max(len(losses) for losses, _ in trials))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_yscale("log")
    axes.set(xlabel="iteration (0: the start)", ylabel="loss of the attack")
    plain_log_ticks(axes.yaxis, (1,))
    axes.legend(frameon=False)
    return figure


def rates_figure(groups: Sequence[Tuple[str, Sequence[Tuple[str, float, float, float]]]], title: str) -> "Figure":
    """Draw success rates with their intervals, in one panel of bars per group.

    A group is (label of its x axis, its bars). A bar is (label, rate, low, high), all numbers from 0 to 1.
    """
    figure = new_figure(title)
    panels = figure.subplots(1, len(groups), squeeze=False, sharey=True)[0]
    for axes, (what, bars) in zip(panels, groups):
        for at, (_, rate, low, high) in enumerate(bars):
            axes.bar(at, 100 * rate, 0.6, color=SUCCESS)
            axes.plot([at, at], [100 * low, 100 * high], color="#E69F00", linewidth=2.5)
        axes.set_xticks(range(len(bars)))
        axes.set_xticklabels([label for label, *_ in bars], fontsize=8)
        axes.set(xlabel=what, ylim=(0, 105))
    panels[0].set_ylabel("success rate [%], 95 % interval")
    return figure
