"""The figures of a run."""

import math
import re
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from fl_simu.kernel.errors import UserError, nearest, require, shown
from fl_simu.results.attack_measures import confidence, far, hit, is_targeted
from fl_simu.results.columns import NONE, Columns, so_far
from fl_simu.results.evaluated import UeAccuracies
from fl_simu.results.figures import new_figure, plain_log_ticks, plain_text, write_figures
from fl_simu.results.files import PathLike
from fl_simu.results.paper import paper_figure, paper_style
from fl_simu.results.records import ACCEPTED, RoundRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Blue and orange of Okabe and Ito's colour-blind-safe palette, and a grey that is lighter than the one
# and darker than the other, so that the three differ in a grey print too.
COLOURS = {"full": "#0072B2", "base": "#E69F00", "none": "#6E6E6E"}
WORDS = {"full": "accepted in full", "base": "accepted base only", "none": "rejected"}
HATCHES = {"full": "", "base": "", "none": "///"}

# Name, marker, and the delay of each upload [s].
Layer = Tuple[str, str, Any]

# What one run has a number of for each round, and how an axis calls it.
LABELS = {
    "round": "round",
    "time_s": "virtual time [s]",
    "accuracy": "test accuracy",
    "loss": "test loss",
    "uplink_bits": "sent over the uplink, all UEs [bit]",
    "downlink_bits": "sent over the downlink [bit]",
    "full": "uploads accepted in full",
    "base": "uploads of which the base layer was accepted",
    "rejected": "uploads rejected",
    "wall_time_s": "time on the wall clock [s]",
}

STYLES = ("screen", "paper")

MAX_UPLOADS_TOGETHER = 400
MAX_UPLOADS_DRAWN = 1500
MAX_BANDS = 50
MAX_BARS = 100
LOG_FROM_RATIO = 30.0


def draw_figures(
    records: Sequence[RoundRecord],
    folder: PathLike,
    thresholds_s: Mapping[str, float],
    title: str,
    columns: Columns = NONE,
    ues: Optional[UeAccuracies] = None,
) -> List[Path]:
    """Draw accuracy.png, delays.png and accepted.png; of a run under an attack also attack.png; accuracy over each
    column that is an axis; columns that name one figure together over rounds; and ue-accuracy.png.

    Args:
        records: the rounds in order; may be empty.
        folder: where the files go; made when it is missing.
        thresholds_s: label -> deadline, from the start of an upload [s]; infinite ones are not drawn.
        title: stands above every figure.
        columns: of meters.
        ues: the accuracy of the final model on each UE's own samples, where it is known.

    Returns:
        The paths of the files, in the order above.

    Raises:
        UserError: the folder or a file cannot be written.
    """
    figures = {
        "accuracy.png": accuracy_figure(records, title),
        "delays.png": delays_figure(records, thresholds_s, title),
        "accepted.png": accepted_figure(records, title),
    }
    if any(record.attack is not None for record in records):
        figures["attack.png"] = attack_figure(records, title)
    for name, column in columns.items():
        if column.axis:
            places = so_far(records, name, column)
            figures[f"accuracy-over-{name}.png"] = _accuracy_over(places, column.heading, records, title)
    for drawn in dict.fromkeys(column.figure for column in columns.values() if column.figure):
        together = {name: column for name, column in columns.items() if column.figure == drawn}
        name = re.sub("[^A-Za-z0-9]+", "-", drawn) + ".png"
        figures[name] = columns_figure(records, together, title)
    if ues is not None:
        figures["ue-accuracy.png"] = ue_accuracy_figure(ues, title)
    return write_figures(folder, figures)


def _accuracy_over(places: Any, what: str, records: Sequence[RoundRecord], title: str) -> "Figure":
    """Draw the test accuracy [%] over what each round had come to."""
    accuracy = np.array([100 * record.accuracy for record in records], dtype=float)
    known = np.isfinite(accuracy) & np.isfinite(places)
    figure = new_figure(title)
    axes = figure.subplots()
    axes.plot(places[known], accuracy[known], color=COLOURS["full"], marker="o" if len(records) <= 60 else "")
    axes.set(xlabel=what, ylabel="test accuracy [%]")
    axes.grid(True, alpha=0.3)
    return figure


def columns_figure(records: Sequence[RoundRecord], columns: Columns, title: str) -> "Figure":
    """Draw columns that name one figure over rounds, those rounds left out that have none of them."""
    figure = new_figure(title)
    axes = figure.subplots()
    rounds = np.array([record.round for record in records], dtype=float)
    for at, (name, column) in enumerate(columns.items()):
        values = so_far(records, name, column)
        known = np.isfinite(values)
        style: Dict[str, Any] = {
            "marker": "o" if known.sum() <= 60 else "",
            "markersize": 4,
            "label": column.label,
        }
        colour, dash = tuple(COLOURS.values())[at % len(COLOURS)], ("-", "--", ":", "-.")[at % 4]
        axes.plot(rounds[known], values[known], dash, color=colour, **style)
    first = next(iter(columns.values()))
    axes.set(xlabel="round", ylabel=first._replace(label=first.figure).heading)
    axes.grid(True, alpha=0.3)
    _round_axis(axes, records)
    _legend_above(axes, axes.get_legend_handles_labels()[0])
    return figure


def ue_accuracy_figure(ues: UeAccuracies, title: str) -> "Figure":
    """Draw which share of the UEs has at most an accuracy, as steps: the empirical distribution."""
    ordered = np.sort(100 * ues.accuracies)
    share = np.arange(len(ordered) + 1) / len(ordered)
    figure = new_figure(title)
    axes = figure.subplots()
    axes.step(np.concatenate([ordered[:1], ordered]), share, where="post", color=COLOURS["full"])
    axes.set(xlabel="accuracy of the final model on a UE's own samples, at most [%]", ylabel="share of the UEs")
    axes.set_ylim(0, 1.03)
    axes.grid(True, alpha=0.3)
    return figure


def accuracy_figure(records: Sequence[RoundRecord], title: str) -> "Figure":
    """Draw the test accuracy [%] over virtual time [s] and over the bits sent so far, side by side.

    Rounds that were not evaluated (NaN) are left out.
    """
    figure = new_figure(title)
    left, right = figure.subplots(1, 2, sharey=True)
    accuracy = np.array([100 * record.accuracy for record in records], dtype=float)
    time_s = np.array([record.time_s for record in records], dtype=float)
    bits = np.cumsum([float(record.uplink_bits) for record in records])
    known = np.isfinite(accuracy) & np.isfinite(time_s)
    scale, unit = bit_unit(bits.max() if len(bits) else 0.0)
    marker = "o" if len(records) <= 60 else ""
    for axes, x in ((left, time_s), (right, bits / scale)):
        if known.any():
            style = {"color": COLOURS["full"], "marker": marker, "markersize": 5, "clip_on": False}
            axes.plot(x[known], accuracy[known], **style)
            axes.set_xlim(0, 1.04 * x[known].max() if x[known].max() > 0 else 1)
        axes.grid(True, alpha=0.3)
    left.set(xlabel="virtual time [s]", ylabel="test accuracy [%]")
    right.set(xlabel=f"sent over the uplink, all UEs [{unit}]")
    if known.any():
        low, high = accuracy[known].min(), accuracy[known].max()
        margin = max(1.0, 0.06 * (high - low))
        left.set_ylim(max(0.0, low - margin), min(100.0, high + margin))
    else:
        _say_empty(left, right)
    return figure


def column_figure(
    rows: Sequence[Mapping[str, float]],
    y: str,
    over: str,
    title: str,
    meters: Columns = NONE,
    style: str = "screen",
) -> "Figure":
    """Draw one column of a run's rows, one a round, over another; bits and the like are added up from round to
    round.

    Args:
        rows: in order, each with the keys of `LABELS`, and maybe more.
        y, over: the columns.
        title: stands above the figure.
        meters: the columns of meters that the rows have too.
        style: "screen", or "paper": a column wide, without the title.

    Raises:
        UserError: there is no such column or style.
    """
    require(style in STYLES, "style", style, "one of " + ", ".join(STYLES))
    labels = {**LABELS, **{name: column.heading for name, column in meters.items()}}
    added_up = {"uplink_bits", "downlink_bits", *(name for name, one in meters.items() if one.total == "sum")}
    columns = {}
    for name in (over, y):
        if name not in labels:
            raise UserError(f"column {shown(name)} is not known: {nearest(name, labels)}")
        column = np.array([row[name] for row in rows], dtype=float)
        columns[name] = column.cumsum() if name in added_up else column
    if style == "paper":
        with paper_style():
            return _draw_column(paper_figure(), columns[over], columns[y], labels[over], labels[y])
    return _draw_column(new_figure(title), columns[over], columns[y], labels[over], labels[y])


def _draw_column(figure: "Figure", x: Any, y: Any, what: str, of: str) -> "Figure":
    axes = figure.subplots()
    axes.plot(x, y, color=COLOURS["full"], marker="o" if len(x) <= 60 else "")
    axes.set(xlabel=what, ylabel=of)
    axes.grid(True, alpha=0.3)
    return figure


def delays_figure(records: Sequence[RoundRecord], thresholds_s: Mapping[str, float], title: str) -> "Figure":
    """Draw when the base layer and the complete upload of each UE arrived, a column of marks a round.

    The colour tells what was accepted. Above `MAX_UPLOADS_TOGETHER` uploads each layer has a panel of its
    own, with the median and the band of the 10th to the 90th percentile of what arrived; at most
    `MAX_UPLOADS_DRAWN` uploads, chosen at random, are then drawn as marks, and the figure says so.

    Args:
        records: the rounds in order; uploads that never arrived are counted below the axes.
        thresholds_s: label -> deadline, from the start of an upload [s].
        title: stands above the figure.
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
    _round_axis(axes, records)
    axes.set_xlabel("\n".join(["round (within a round: its UEs from left to right)", *uploads.notes()]))
    if layers:
        _legend_above(figure.axes[0], _delay_handles(layers, together))
    else:
        _say_empty(axes)
    return figure


def accepted_figure(records: Sequence[RoundRecord], title: str) -> "Figure":
    """Draw a bar a round: uploads accepted in full, base only, and rejected, stacked in this order."""
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(title)
    axes = figure.subplots()
    rounds = np.array([record.round for record in records], dtype=float)
    bottom = np.zeros(len(records))
    for kind in ACCEPTED:
        count = np.array([sum(one.accepted == kind for one in record.ues) for record in records], dtype=float)
        style: Dict[str, Any] = {"facecolor": COLOURS[kind], "label": WORDS[kind]}
        if len(records) <= MAX_BARS:
            style.update(hatch=HATCHES[kind], edgecolor="white", linewidth=0.8)
            axes.bar(rounds, count, 0.8, bottom=bottom, **style)
        else:
            edges = np.stack([rounds - 0.5, rounds + 0.5], axis=1).ravel()
            axes.fill_between(edges, np.repeat(bottom, 2), np.repeat(bottom + count, 2), linewidth=0, **style)
        bottom = bottom + count
    axes.set_ylabel("uploads")
    axes.set_xlabel("round")
    axes.yaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10], integer=True))
    axes.set_ylim(0, max(1.0, 1.03 * bottom.max() if len(bottom) else 1.0))
    _round_axis(axes, records)
    if len(records):
        _legend_above(axes, axes.get_legend_handles_labels()[0])
    else:
        _say_empty(axes)
    return figure


def attack_figure(records: Sequence[RoundRecord], title: str) -> "Figure":
    """Draw what an attack does in each round: confidence in the wrong class and share of targets hit beside test
    accuracy [%], and below the distance of the malicious updates beside the spread of the benign ones."""
    known = [(record, record.attack) for record in records if record.attack is not None]
    rounds = [record.round for record, _ in known]
    figure = new_figure(title, height=6.0)
    above, below = figure.subplots(2, sharex=True)
    style: Dict[str, Any] = {"marker": "o" if len(known) <= 60 else "", "markersize": 4}
    shares = {"test accuracy": [record.accuracy for record, _ in known]}
    if all(is_targeted(measures) for _, measures in known):
        shares["confidence in the wrong class"] = [confidence(measures) for _, measures in known]
        shares["targets hit"] = [hit(measures) for _, measures in known]
    lengths = {
        "malicious updates": [far(measures) for _, measures in known],
        "benign updates": [measures["spread"] for _, measures in known],
    }
    colours = (COLOURS["full"], COLOURS["base"], COLOURS["none"])
    for (name, values), colour, dash in zip(shares.items(), colours, ("-", "--", ":")):
        above.plot(rounds, 100 * np.array(values, dtype=float), dash, color=colour, label=name, **style)
    for (name, values), colour in zip(lengths.items(), (COLOURS["base"], COLOURS["full"])):
        below.plot(rounds, np.array(values, dtype=float), color=colour, label=name, **style)
    above.set(ylabel="[%]", ylim=(-2, 102))
    below.set(ylabel="distance from the benign mean (L2)", ylim=(0, None))
    for axes in (above, below):
        axes.grid(True, alpha=0.3)
        _legend_above(axes, axes.get_legend_handles_labels()[0])
    _round_axis(below, records)
    below.set_xlabel("round")
    return figure


class _Uploads:
    """All uploads of a run as arrays of one length: round, place within the round, delays, verdict."""

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
        """Return what there is to draw; a codec of one layer has no base to show."""
        layers = [("base layer", "o", self.base_s), ("complete upload", "^", self.complete_s)]
        return [layer for layer in layers if np.isfinite(layer[2]).any()]

    def sample(self) -> Any:
        """Return the indices of all uploads, or of a random but repeatable choice of them."""
        count = len(self.round)
        if count <= MAX_UPLOADS_DRAWN:
            return np.arange(count)
        return np.sort(np.random.RandomState(0).choice(count, MAX_UPLOADS_DRAWN, replace=False))

    def notes(self) -> List[str]:
        """Return what a reader must be told below the axes."""
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
    """Draw a line a deadline; the labels stand right of the axes, pushed apart where lines are close."""
    # Ten-point lines, as a share of the axes' height.
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


def _round_axis(axes: "Axes", records: Sequence[RoundRecord]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    first, last = (records[0].round, records[-1].round) if records else (1, 1)
    axes.set_xlim(first - 0.6, last + 0.6)


def _legend_above(axes: "Axes", handles: Sequence[Any]) -> None:
    spacing = {"columnspacing": 1.2, "handletextpad": 0.4}
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    axes.legend(handles=handles, ncol=len(handles), frameon=False, **place, **spacing)


def _say_empty(*panels: "Axes") -> None:
    for axes in panels:
        text = axes.text(0.5, 0.5, "nothing to show", ha="center", va="center", transform=axes.transAxes)
        text.set_in_layout(False)


def bit_unit(most: float) -> Tuple[float, str]:
    for scale, unit in ((1e12, "Tbit"), (1e9, "Gbit"), (1e6, "Mbit"), (1e3, "kbit")):
        if most >= scale:
            return scale, unit
    return 1.0, "bit"
