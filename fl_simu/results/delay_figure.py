"""The figure of a run that shows when uploads arrived, and what the BS accepted of them."""

import math
from textwrap import fill
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Sequence, Tuple

import numpy as np

from fl_simu.results.figures import new_figure, plain_log_ticks, plain_text
from fl_simu.results.marks import COLOURS, WORDS, legend_above, round_axis, say_empty
from fl_simu.results.records import ACCEPTED, RoundRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Name, marker, and the delay of each upload [s].
Layer = Tuple[str, str, Any]

MAX_UPLOADS_TOGETHER = 400
MAX_UPLOADS_DRAWN = 1500
MAX_BANDS = 50
LOG_FROM_RATIO = 30.0


def delays_figure(records: Sequence[RoundRecord], thresholds_s: Mapping[str, float], title: str) -> "Figure":
    """Draw when each UE's base layer and complete upload arrived, one column of marks per round.

    The colour shows what was accepted. With more than `MAX_UPLOADS_TOGETHER` uploads, each layer has its own
    panel with the median and the band from the 10th to the 90th percentile of the arrivals. At most
    `MAX_UPLOADS_DRAWN` uploads, chosen at random, are then drawn as marks, and a note in the figure says so.

    Args:
        records: the rounds in order; uploads that never arrived are counted below the axes.
        thresholds_s: label -> deadline, from the start of an upload [s].
        title: title of the figure.
    """
    uploads = _Uploads(records)
    layers = uploads.layers()
    together = len(uploads.round) <= MAX_UPLOADS_TOGETHER or not layers
    panels = [layers] if together else [[layer] for layer in reversed(layers)]
    figure = new_figure(title, height=4.5 if len(panels) == 1 else 6.5)
    for axes, drawn in zip(figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0], panels):
        _scale_delays(axes, [delay_s for _, _, delay_s in drawn], thresholds_s)
        _draw_thresholds(axes, thresholds_s)
        _draw_marks(axes, uploads, drawn)
        if not together:
            _draw_band(axes, uploads, drawn[0])
        axes.set_ylabel("delay of the upload [s]" if together else f"delay, {drawn[0][0]} [s]")
    round_axis(axes, records)
    axes.set_xlabel("\n".join(["round (within a round: its UEs from left to right)", *uploads.notes()]))
    if layers:
        legend_above(figure.axes[0], _delay_handles(layers, together))
    else:
        say_empty(axes)
    return figure


class _Uploads:
    """All uploads of a run as arrays of equal length: round, position within the round, delays, verdict."""

    def __init__(self, records: Sequence[RoundRecord]) -> None:
        rows: List[Tuple[float, float, float, float, str]] = []
        for record in records:
            last = max(1, len(record.ues) - 1)
            for place, one in enumerate(record.ues):
                x = record.round + (0.7 * (place / last - 0.5) if len(record.ues) > 1 else 0.0)
                base_s = one.delays_s[0] if len(one.delays_s) > 1 else math.nan
                complete_s = one.delays_s[-1] if one.delays_s else math.nan
                rows.append((record.round, x, base_s, complete_s, one.accepted))
        self.round, self.x, self.base_s, self.complete_s = (
            np.array([row[column] for row in rows], dtype=float) for column in range(4)
        )
        self.accepted = np.array([row[4] for row in rows], dtype="<U4")

    def layers(self) -> List[Layer]:
        """Return the layers to draw; a codec with one layer has no base to show."""
        layers = [("base layer", "o", self.base_s), ("complete upload", "^", self.complete_s)]
        return [layer for layer in layers if np.isfinite(layer[2]).any()]

    def sample(self) -> Any:
        """Return the indices of all uploads, or of a random but repeatable choice of them."""
        count = len(self.round)
        if count <= MAX_UPLOADS_DRAWN:
            return np.arange(count)
        return np.sort(np.random.RandomState(0).choice(count, MAX_UPLOADS_DRAWN, replace=False))

    def notes(self) -> List[str]:
        """Return the notes for the reader below the axes."""
        total, drawn = len(self.round), len(self.sample())
        missing = total - int(np.isfinite(self.complete_s).sum())
        told = []
        if drawn < total:
            told.append(f"marks: {drawn} of {total} uploads, drawn at random; median, band: all that arrived")
        if missing:
            told.append(f"{missing} of {total} uploads never arrived complete")
        return told


def _draw_marks(axes: "Axes", uploads: _Uploads, layers: Sequence[Layer]) -> None:
    drawn = uploads.sample()
    size = 26 if len(drawn) <= MAX_UPLOADS_TOGETHER else 9
    for name, marker, delay_s in layers:
        for kind in ACCEPTED:
            chosen = drawn[(uploads.accepted[drawn] == kind) & np.isfinite(delay_s[drawn])]
            marks = axes.scatter(uploads.x[chosen], delay_s[chosen], size, marker=marker)
            face = "white" if name == "base layer" else COLOURS[kind]
            marks.set(facecolor=face, edgecolor=COLOURS[kind], linewidth=1.0, alpha=0.85, zorder=3)
            marks.set_gid(name + ", " + kind)


def _draw_band(axes: "Axes", uploads: _Uploads, layer: Layer) -> None:
    _, _, delay_s = layer
    rounds = np.unique(uploads.round)
    groups = np.array_split(rounds, min(len(rounds), MAX_BANDS))
    edges = np.array([(group[0] - 0.5, group[-1] + 0.5) for group in groups]).ravel()
    levels = []
    for group in groups:
        inside = (uploads.round >= group[0]) & (uploads.round <= group[-1]) & np.isfinite(delay_s)
        levels.append(np.percentile(delay_s[inside], (10, 50, 90)) if inside.any() else [math.nan] * 3)
    low, median, high = np.repeat(np.array(levels), 2, axis=0).T
    axes.fill_between(edges, low, high, color="black", alpha=0.15, linewidth=0, zorder=2.5)
    axes.plot(edges, median, color="black", linewidth=2, zorder=4, gid="median")


def _delay_handles(layers: Sequence[Layer], together: bool) -> List[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    faces = {"base layer": "white", "complete upload": "black"}
    handles: List[Any] = [
        Line2D([], [], linestyle="", marker=marker, mec="black", mfc=faces[name], label=name)
        for name, marker, _ in layers
        if together
    ]
    handles += [Patch(facecolor=COLOURS[kind], label=WORDS[kind]) for kind in ACCEPTED]
    if not together:
        handles.append(Line2D([], [], color="black", linewidth=2, label="median"))
        handles.append(Patch(facecolor="black", alpha=0.15, label="10th to 90th percentile"))
    return handles


def _scale_delays(axes: "Axes", delays_s: Sequence[Any], thresholds_s: Mapping[str, float]) -> None:
    shown = np.concatenate([*delays_s, list(_drawable(thresholds_s).values())])
    shown = shown[np.isfinite(shown)]
    shown = shown[shown > 0]
    lowest, highest = (shown.min(), shown.max()) if len(shown) else (1.0, 1.0)
    if highest > LOG_FROM_RATIO * lowest:
        axes.set_yscale("log")
        axes.set_ylim(lowest / 1.3, highest * 1.3)
        plain_log_ticks(axes.yaxis, (1, 2, 5) if highest < 1000 * lowest else (1,))
    else:
        axes.set_ylim(0, 1.06 * highest)
    axes.grid(True, axis="y", alpha=0.3)


def _drawable(thresholds_s: Mapping[str, float]) -> Dict[str, float]:
    return {label: float(time_s) for label, time_s in thresholds_s.items() if 0 < time_s < math.inf}


def _draw_thresholds(axes: "Axes", thresholds_s: Mapping[str, float]) -> None:
    """Draw one line per deadline; the labels are to the right of the axes, moved apart if lines are close."""
    # The height of a ten-point line, as a fraction of the axes' height.
    line_height = 0.18 * axes.figure.dpi / axes.bbox.height
    free_from = 0.0
    for label, time_s in sorted(_drawable(thresholds_s).items(), key=lambda item: item[1]):
        axes.axhline(time_s, color="black", linestyle="--", linewidth=1.2, zorder=2)
        height = axes.transAxes.inverted().transform(axes.transData.transform((0, time_s)))[1]
        text = plain_text(fill(label, 16) + f"\n{time_s:.3g} s")
        half = line_height * (1 + text.count("\n")) / 2
        at = max(height, free_from + half)
        arrow = {"arrowstyle": "-", "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
        axes.annotate(text, (1, height), (1.03, at), "axes fraction", "axes fraction", arrow, va="center")
        free_from = at + half + line_height / 4
