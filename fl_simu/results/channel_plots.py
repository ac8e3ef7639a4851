"""Figures of a channel: rates over time, histograms of rates and delays, an animation of the rates."""

import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Mapping, Sequence, Tuple

import numpy as np

from fl_simu.results.figures import new_figure, plain_text, write_figures
from fl_simu.results.files import PathLike, write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colour-blind-safe palette.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
BINS = 80
# Lines with more steps than this are unreadable in one panel.
MAX_STEPS = 60
# A histogram is cut off at this percentile, with a note, because 1 / rate has a long tail.
SHOWN_PERCENTILE = 99.0
FRAMES = 60
FRAMES_A_SECOND = 12

# For one UE: edges [s], shape (n + 1,), and the rates between them [Mbit/s], shape (n,).
Course = Tuple[np.ndarray, np.ndarray]


def draw_channel_figures(
    courses: Sequence[Course],
    rates_mbps: np.ndarray,
    delays_s: Mapping[str, np.ndarray],
    thresholds_s: Mapping[str, float],
    folder: PathLike,
    title: str,
) -> List[Path]:
    """Draw rates.png and delays.png.

    Args:
        courses: for each UE edges [s], shape (n + 1,), and rates [Mbit/s], shape (n,).
        rates_mbps: one rate per upload.
        delays_s: label -> one delay per upload [s]; infinite ones are counted below the axes.
        thresholds_s: label -> threshold on a delay [s]; infinite ones are not drawn.
        folder: folder for the files; it is created if missing.
        title: title of every figure.

    Returns:
        The paths of the files, in the order above.

    Raises:
        UserError: the folder or a file cannot be written.
    """
    figures = {
        "rates.png": rates_figure(courses, title),
        "delays.png": histograms_figure(rates_mbps, delays_s, thresholds_s, title),
    }
    return write_figures(folder, figures)


def rates_figure(courses: Sequence[Course], title: str) -> "Figure":
    """Draw the rate of each UE [Mbit/s] over virtual time [s], piecewise constant.

    If rates change often, each UE has its own panel.
    """
    crowded = _crowded(courses)
    figure = new_figure(title, height=1.5 + 1.1 * len(courses) if crowded else 4.5)
    panels = figure.subplots(len(courses) if crowded else 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    _scale_rates(panels[-1], courses)
    for ue, (edges, rates) in enumerate(courses):
        axes = panels[ue if crowded else 0]
        axes.step(edges, np.append(rates, rates[-1]), where="post", **_style(ue, crowded))
        axes.grid(True, alpha=0.3)
        if crowded:
            axes.set_ylabel(f"UE {ue}")
    if crowded:
        figure.supylabel("rate [Mbit/s]", fontsize="medium")
    else:
        _legend_above(panels[0])
    return figure


def histograms_figure(
    rates_mbps: np.ndarray, delays_s: Mapping[str, np.ndarray], thresholds_s: Mapping[str, float], title: str
) -> "Figure":
    """Draw histograms of the rates [Mbit/s] and delays [s] of uploads, with the delay thresholds."""
    figure = new_figure(title)
    left, right = figure.subplots(1, 2)
    _histogram(left, {"rate": rates_mbps}, "mean rate of an upload [Mbit/s]", 100.0, ())
    limits = {label: limit for label, limit in thresholds_s.items() if 0 < limit < math.inf}
    _histogram(right, delays_s, "delay of an upload [s]", SHOWN_PERCENTILE, list(limits.values()))
    for number, (label, limit) in enumerate(sorted(limits.items(), key=lambda item: item[1])):
        name = plain_text(f"{label}, {limit:.4g} s")
        right.axvline(limit, color="black", linestyle=DASHES[number % len(DASHES)], linewidth=1, label=name)
    right.legend(loc="upper right", fontsize=8)
    left.set_ylabel("share of uploads in a bin [%]")
    return figure


def write_animation(courses: Sequence[Course], path: Path, title: str) -> Path:
    """Write a GIF that shows the UEs' rates as virtual time advances.

    Args:
        courses: as for `draw_channel_figures`.
        path: the file; its folder must exist. It is written completely or not at all.
        title: title of the animation.

    Returns:
        The path.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.animation import FuncAnimation, PillowWriter
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=80)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.1, right=0.97, bottom=0.14, top=0.82)
    figure.suptitle(plain_text(title))
    show = _moving(axes, courses)
    film = FuncAnimation(figure, show, frames=FRAMES, init_func=lambda: (), blit=False)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.gif"
        film.save(str(file), writer=PillowWriter(fps=FRAMES_A_SECOND))
        write_atomically(path, file.read_bytes())
    return path


def _moving(axes: "Axes", courses: Sequence[Course]) -> Any:
    """The function that draws a frame: each rate so far, with a dot at the end; only the latest of many steps."""
    end_s = _scale_rates(axes, courses)
    width_s = end_s * min(1.0, MAX_STEPS / max(len(rates) for _, rates in courses))
    axes.grid(True, alpha=0.3)
    styles = [_style(ue) for ue in range(len(courses))]
    lines = [axes.step([], [], where="post", **style)[0] for style in styles]
    dots = [axes.plot([], [], "o", color=style["color"], markersize=6)[0] for style in styles]
    _legend_above(axes)

    def show(frame: int) -> Tuple:
        now_s = end_s * (frame + 1) / FRAMES
        axes.set_xlim(max(0.0, now_s - width_s), max(width_s, now_s))
        for (edges, rates), line, dot in zip(courses, lines, dots):
            count = max(1, min(int(np.searchsorted(edges, now_s)), len(rates)))
            line.set_data(np.append(edges[:count], now_s), np.append(rates[:count], rates[count - 1]))
            dot.set_data([now_s], [rates[count - 1]])
        return (*lines, *dots)

    return show


def _scale_rates(axes: "Axes", courses: Sequence[Course]) -> float:
    """Scale the axes to fit all courses; return the end of the courses [s]."""
    end_s = max(float(edges[-1]) for edges, _ in courses)
    rates = np.concatenate([rates for _, rates in courses])
    low, high = min(0.0, float(rates.min())), max(0.0, float(rates.max()))
    axes.set_xlim(0, end_s)
    axes.set_ylim(1.06 * low, 1.06 * high if high > low else 1.0)
    axes.set(xlabel="virtual time [s]", ylabel="rate [Mbit/s]")
    return end_s


def _histogram(
    axes: "Axes", values: Mapping[str, np.ndarray], label: str, percentile: float, within: Sequence[float]
) -> None:
    finite = {name: array[np.isfinite(array)] for name, array in values.items()}
    tops = [float(np.percentile(array, percentile)) for array in finite.values() if len(array)]
    top = max([*tops, *[1.05 * limit for limit in within], 1e-12])
    low = min([float(array.min()) for array in finite.values() if len(array)], default=0.0)
    edges = np.linspace(min(low, 0.9 * top) - 1e-9 * top, top * (1 + 1e-9), BINS + 1)
    notes = [label]
    for number, (name, array) in enumerate(finite.items()):
        weights = np.full(len(array), 100 / len(values[name]))
        style: Any = {"histtype": "step", "color": COLOURS[number], "linestyle": DASHES[number], "linewidth": 1.4}
        axes.hist(array, edges.tolist(), weights=weights, label=name, **style)
        beyond, never = np.mean(values[name] > edges[-1]), np.mean(~np.isfinite(values[name]))
        if beyond > 0:
            notes.append(f"{name}: {beyond:.2%} beyond" + (f", {never:.2%} never arrive" if never else ""))
    axes.set_xlabel("\n".join(notes))
    axes.grid(True, alpha=0.3)


def _crowded(courses: Sequence[Course]) -> bool:
    return max(len(rates) for _, rates in courses) > MAX_STEPS


def _style(ue: int, crowded: bool = False) -> Any:
    number = ue % len(COLOURS)
    looks: Any = {"linewidth": 0.9} if crowded else {"linestyle": DASHES[number], "linewidth": 1.4}
    return {"color": COLOURS[number], "label": f"UE {ue}", **looks}


def _legend_above(axes: "Axes") -> None:
    handles, labels = axes.get_legend_handles_labels()
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    axes.legend(handles, labels, ncol=max(1, len(handles)), frameon=False, columnspacing=1.2, **place)
