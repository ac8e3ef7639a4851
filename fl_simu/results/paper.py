"""Figures for papers: one column of two wide, text of 8 points, fonts that publishers accept."""

from contextlib import contextmanager
from typing import Any, Dict, Iterator

from fl_simu.results.figures import png_bytes

# Okabe and Ito's colour-blind-safe palette without its yellow, which is faint on paper.
OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")

WIDTH_IN = 3.5
POINTS = 8.0

PAPER: Dict[str, Any] = {
    "figure.figsize": (WIDTH_IN, 2.4),
    "figure.dpi": 150,
    "savefig.dpi": 600,
    # Embed fonts as TrueType (type 42) instead of Type 3, which IEEE and ACM refuse.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "font.size": POINTS,
    "axes.titlesize": POINTS,
    "axes.labelsize": POINTS,
    "xtick.labelsize": POINTS,
    "ytick.labelsize": POINTS,
    "legend.fontsize": POINTS,
    "figure.titlesize": POINTS,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.0,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
}


@contextmanager
def paper_style() -> Iterator[None]:
    """Use matplotlib settings for papers for the figures that are made and saved inside.

    A figure is 3.5 inches wide, one column of a two-column page, and 2.4 inches high. All text has 8 points, fonts
    are embedded as TrueType (type 42), and lines have Okabe and Ito's colours. Outside, no setting changes.

    >>> import matplotlib
    >>> with paper_style():
    ...     matplotlib.rcParams["figure.figsize"], matplotlib.rcParams["pdf.fonttype"]
    ([3.5, 2.4], 42)
    """
    import matplotlib
    from cycler import cycler

    with matplotlib.rc_context({**PAPER, "axes.prop_cycle": cycler(color=OKABE_ITO)}):
        yield


def paper_figure() -> Any:
    """An empty figure that is drawn, shown and saved in the style for papers, wherever that happens."""
    from matplotlib.figure import Figure

    class PaperFigure(Figure):
        def savefig(self, *arguments: Any, **options: Any) -> None:
            with paper_style():
                super().savefig(*arguments, **options)

        def draw(self, renderer: Any) -> None:
            # Some ticks are created only when they are drawn.
            with paper_style():
                super().draw(renderer)

        def _repr_png_(self) -> bytes:
            # A notebook displays objects with this method.
            return png_bytes(self)

    with paper_style():
        return PaperFigure(layout="constrained")
