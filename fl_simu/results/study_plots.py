"""The figures of a study: one panel per pair of levels of the first axes, one line per level of the last axis."""

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Optional, Sequence, Tuple

import numpy as np

from fl_simu.results.attack_measures import confidence, is_targeted
from fl_simu.results.columns import Column, so_far
from fl_simu.results.figures import new_figure, plain_log_ticks
from fl_simu.results.marks import COLOURS, HATCHES, WORDS, bit_unit
from fl_simu.results.records import ACCEPTED, RoundRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette without its yellow, then dashes, so that lines also differ in a greyscale print.
LINE_COLOURS = ("#000000", "#999999", "#E69F00", "#0072B2", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")
DASHES = ("-", "--", "-.", ":")

OVER = {"rounds": "round", "time": "virtual time [s]", "bits": "sent over the uplink, all UEs [{}]"}

# For each run, the positions on the x axis and the values [%] there.
Curves = List[Tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Line:
    """The runs of one combination of levels.

    Args:
        levels: one name per axis.
        runs: the records of each run, one run per seed; none is empty.
    """

    levels: Tuple[str, ...]
    runs: Tuple[Tuple[RoundRecord, ...], ...]

    @property
    def panel(self) -> Tuple[str, str]:
        """Row and column of the panel; a missing axis has the name ""."""
        row, column = ("", "", *self.levels[:-1])[-2:]
        return row, column

    @property
    def is_targeted(self) -> bool:
        """Whether every round of the runs has measures of a targeted attack."""
        return all(record.attack is not None and is_targeted(record.attack) for run in self.runs for record in run)


def share(run: Sequence[RoundRecord], kind: str) -> float:
    """The share of a run's uploads that were accepted "full", "base" or "none"."""
    outcomes = [outcome.accepted for record in run for outcome in record.ues]
    return outcomes.count(kind) / len(outcomes)


def accuracy_figure(lines: Sequence[Line], over: str, title: str, column: Optional[Column] = None) -> "Figure":
    """Draw test accuracy [%] over "rounds", virtual "time" [s], "bits" sent so far, or the total of a column with
    this name: mean and range of the runs.

    Runs end rounds at different times, so each run keeps its accuracy until its next round, and a line ends where
    its first run ends.
    """
    figure, panels = _panels(lines, title)
    curves = {line.levels: _curves(line, over, _accuracy, column) for line in lines}
    scale, what = 1.0, column.heading if column else OVER[over]
    if over == "bits":
        scale, unit = bit_unit(max(curve[0][-1] for found in curves.values() for curve in found))
        what = what.format(unit)
    _draw_lines(lines, panels, curves, scale)
    if _ends_apart(curves.values()):
        # All panels share this axis.
        axes = next(iter(panels.values()))
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        plain_log_ticks(axes.xaxis, (1, 2, 5) if high < 1000 * low else (1,))
    _label(figure, panels, what, "test accuracy [%]")
    return figure


def attack_figure(lines: Sequence[Line], title: str) -> "Figure":
    """Draw test accuracy [%], and below it the mean confidence [%] in the targets' wrong classes, over the rounds:
    mean and range of the runs. Lines of runs without a targeted attack have no confidence."""
    shown: List[Line] = []
    curves: Dict[Tuple[str, ...], Curves] = {}
    for word, value in (("accuracy", _accuracy), ("confidence", _confidence)):
        for line in lines:
            if value is _accuracy or line.is_targeted:
                shown.append(Line((word, ", ".join(line.levels[:-1]), line.levels[-1]), line.runs))
                curves[shown[-1].levels] = _curves(line, "rounds", value)
    figure, panels = _panels(shown, title)
    _draw_lines(shown, panels, curves, 1.0)
    _label(figure, panels, OVER["rounds"], "[%]")
    return figure


def _draw_lines(
    lines: Sequence[Line],
    panels: "Dict[Tuple[str, str], Axes]",
    curves: Dict[Tuple[str, ...], Curves],
    scale: float,
) -> None:
    styles = _styles(lines)
    for line in lines:
        x, runs = _together(curves[line.levels])
        axes, style = panels[line.panel], styles[line.levels[-1]]
        steps: Dict[str, Any] = {"drawstyle": "steps-post", "linewidth": 1.6, "label": line.levels[-1]}
        axes.plot(x / scale, runs.mean(axis=0), **steps, **style)
        band: Dict[str, Any] = {"color": style["color"], "alpha": 0.15, "linewidth": 0, "step": "post"}
        axes.fill_between(x / scale, runs.min(axis=0), runs.max(axis=0), **band)


def shares_figure(lines: Sequence[Line], title: str) -> "Figure":
    """Draw one bar per line: the shares [%] of all uploads accepted in full, base only, and rejected."""
    figure, panels = _panels(lines, title)
    names = list(_styles(lines))
    for line in lines:
        left = 0.0
        for kind in ACCEPTED:
            width = 100 * float(np.mean([share(run, kind) for run in line.runs]))
            style: Dict[str, Any] = {"color": COLOURS[kind], "hatch": HATCHES[kind], "edgecolor": "white"}
            label = WORDS[kind] if line.levels[-1] == names[0] else None
            panels[line.panel].barh(names.index(line.levels[-1]), width, left=left, label=label, **style)
            left += width
    for axes in panels.values():
        axes.set_yticks(range(len(names)))
        axes.set_yticklabels(names)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_xlim(0, 100)
    _label(figure, panels, "share of uploads [%]", "")
    return figure


def _accuracy(record: RoundRecord) -> float:
    return record.accuracy


def _confidence(record: RoundRecord) -> float:
    return confidence(record.attack) if record.attack is not None else 0.0


def _curves(
    line: Line, over: str, value: Callable[[RoundRecord], float], column: Optional[Column] = None
) -> Curves:
    curves: Curves = []
    for run in line.runs:
        x = {
            "rounds": np.array([float(record.round) for record in run]),
            "time": np.array([record.time_s for record in run]),
            "bits": np.cumsum([float(record.uplink_bits) for record in run]),
        }
        places = np.asarray(so_far(run, over, column) if column else x[over])
        values = np.array([100 * value(record) for record in run])
        # Leave out rounds that were not evaluated.
        told = ~np.isnan(values)
        curves.append((places[told], values[told]))
    return curves


def _together(curves: Curves) -> Tuple[np.ndarray, np.ndarray]:
    """The positions where any run changes, shape (n,), and each run's accuracy from there on, shape (runs, n)."""
    first, last = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    every = np.unique(np.concatenate([x for x, _ in curves]))
    inside = every[(every >= first) & (every <= last)]
    places = inside if len(inside) else np.array([first])
    return places, np.stack([y[np.searchsorted(x, places, side="right") - 1] for x, y in curves])


def _ends_apart(curves: Iterable[Curves]) -> bool:
    """Whether the longest line would leave no room for the others on a linear axis."""
    ends = [min(x[-1] for x, _ in found) for found in curves]
    return max(ends) > 3 * min(ends) > 0


def _styles(lines: Sequence[Line]) -> Dict[str, Dict[str, Any]]:
    """Colour and dash for each level of the last axis."""
    names = list(dict.fromkeys(line.levels[-1] for line in lines))
    return {
        name: {
            "color": LINE_COLOURS[place % len(LINE_COLOURS)],
            "linestyle": DASHES[(place // 2 + place // len(LINE_COLOURS)) % len(DASHES)],
        }
        for place, name in enumerate(names)
    }


def _panels(lines: Sequence[Line], title: str) -> "Tuple[Figure, Dict[Tuple[str, str], Axes]]":
    rows = list(dict.fromkeys(line.panel[0] for line in lines))
    columns = list(dict.fromkeys(line.panel[1] for line in lines))
    figure = new_figure(title, 1.4 + 2.3 * len(rows), title_size=11)
    # The last row of the grid is for the legend.
    grid = figure.add_gridspec(len(rows) + 1, len(columns), height_ratios=[1] * len(rows) + [0.2])
    panels: Dict[Tuple[str, str], Any] = {}
    for place, (row, column) in enumerate(itertools.product(rows, columns)):
        first = next(iter(panels.values()), None)
        axes = figure.add_subplot(grid[place // len(columns), place % len(columns)], sharex=first, sharey=first)
        axes.set_title(", ".join(filter(None, (row, column))), fontsize=9)
        axes.grid(True, alpha=0.3)
        axes.tick_params(labelsize=8, labelbottom=row == rows[-1], labelleft=column == columns[0])
        panels[row, column] = axes
    return figure, panels


def _label(figure: "Figure", panels: "Dict[Tuple[str, str], Axes]", x: str, y: str) -> None:
    place = next(iter(panels.values())).get_subplotspec()
    assert place is not None, "a panel stands in a grid"
    legend = figure.add_subplot(place.get_gridspec()[-1, :])
    legend.axis("off")
    handles, names = next(iter(panels.values())).get_legend_handles_labels()
    columns = 3 if len(names) > 4 else len(names)
    legend.legend(handles, names, loc="center", ncol=columns, frameon=False, fontsize=8, title=x)
    figure.supylabel(y, fontsize=9)
