"""The figures of a run."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence

import numpy as np

from fl_simu.kernel.errors import UserError, nearest, require, shown
from fl_simu.results.attack_measures import confidence, far, hit, is_targeted
from fl_simu.results.columns import NONE, Columns, so_far
from fl_simu.results.delay_figure import delays_figure
from fl_simu.results.evaluated import UeAccuracies
from fl_simu.results.figures import new_figure, write_figures
from fl_simu.results.files import PathLike
from fl_simu.results.marks import COLOURS, HATCHES, LABELS, WORDS, bit_unit, legend_above, round_axis, say_empty
from fl_simu.results.paper import paper_figure, paper_style
from fl_simu.results.records import ACCEPTED, RoundRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = ("screen", "paper")

MAX_BARS = 100


def draw_figures(
    records: Sequence[RoundRecord],
    folder: PathLike,
    thresholds_s: Mapping[str, float],
    title: str,
    columns: Columns = NONE,
    ues: Optional[UeAccuracies] = None,
) -> List[Path]:
    """Draw accuracy.png, delays.png and accepted.png; attack.png for a run under an attack; accuracy over each
    column that is an axis; one figure over rounds for all columns with the same topic; and ue-accuracy.png.

    Args:
        records: the rounds in order; may be empty.
        folder: folder for the files; it is created if missing.
        thresholds_s: label -> deadline, from the start of an upload [s]; infinite ones are not drawn.
        title: title of every figure.
        columns: of meters.
        ues: the accuracy of the final model on each UE's own samples, if known.

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
    """Draw the test accuracy [%] over the total of a quantity at each round."""
    accuracy = np.array([100 * record.accuracy for record in records], dtype=float)
    known = np.isfinite(accuracy) & np.isfinite(places)
    figure = new_figure(title)
    axes = figure.subplots()
    axes.plot(places[known], accuracy[known], color=COLOURS["full"], marker="o" if len(records) <= 60 else "")
    axes.set(xlabel=what, ylabel="test accuracy [%]")
    axes.grid(True, alpha=0.3)
    return figure


def columns_figure(records: Sequence[RoundRecord], columns: Columns, title: str) -> "Figure":
    """Draw columns with the same topic over rounds, without the rounds that lack all of them."""
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
    round_axis(axes, records)
    legend_above(axes, axes.get_legend_handles_labels()[0])
    return figure


def ue_accuracy_figure(ues: UeAccuracies, title: str) -> "Figure":
    """Draw the empirical distribution of the UEs' accuracies: the share of UEs up to each accuracy, as steps."""
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
        say_empty(left, right)
    return figure


def column_figure(
    rows: Sequence[Mapping[str, float]],
    y: str,
    over: str,
    title: str,
    meters: Columns = NONE,
    style: str = "screen",
) -> "Figure":
    """Draw one column of a run's rows over another, with one row per round. Bits and the like are summed over
    the rounds.

    Args:
        rows: in order, each with the keys of `LABELS`, and possibly more.
        y, over: the columns.
        title: title of the figure.
        meters: the meter columns in the rows.
        style: "screen", or "paper": one column wide, without the title.

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


def accepted_figure(records: Sequence[RoundRecord], title: str) -> "Figure":
    """Draw one bar per round: uploads accepted in full, base only, and rejected, stacked in this order."""
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
    round_axis(axes, records)
    if len(records):
        legend_above(axes, axes.get_legend_handles_labels()[0])
    else:
        say_empty(axes)
    return figure


def attack_figure(records: Sequence[RoundRecord], title: str) -> "Figure":
    """Draw the effect of an attack in each round. Above: confidence in the wrong class, share of targets hit, and
    test accuracy [%]. Below: distance of the malicious updates, and spread of the benign ones."""
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
        legend_above(axes, axes.get_legend_handles_labels()[0])
    round_axis(below, records)
    below.set_xlabel("round")
    return figure
