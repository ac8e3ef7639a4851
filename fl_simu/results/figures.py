"""Shared code of all figures: canvas, title, plain numbers on axes, writing to a file.

Each figure has its own canvas; pyplot and its global state are never used.
"""

import io
from functools import partial
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any, List, Mapping, Sequence

from fl_simu.kernel.errors import UserError
from fl_simu.kernel.packages import install_command, installed
from fl_simu.results.files import PathLike, make_folder, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def require_matplotlib() -> None:
    """Check for matplotlib, before computing anything that ends in figures.

    Raises:
        UserError: matplotlib is not installed.
    """
    if not installed("matplotlib"):
        raise UserError(
            f"matplotlib, which draws the figures, is not installed: `{install_command('matplotlib')}`"
        )


def new_figure(title: str, height: float = 4.5, title_size: float = 12.0) -> "Figure":
    """An empty figure 8 inches wide, 1280 pixels, with a title above it; height in inches, title in points."""
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(8, height), dpi=160, layout="constrained")
    figure.suptitle(plain_text(fill(title, 80)), fontsize=title_size)
    # A notebook displays objects with this method; otherwise it knows only the figures of pyplot.
    figure._repr_png_ = partial(png_bytes, figure)
    return figure


def plain_text(text: str) -> str:
    """The text, escaped so that a dollar sign does not begin a formula."""
    return text.replace("$", r"\$")


def plain_log_ticks(axis: Any, digits: Sequence[int] = (1, 2, 5)) -> None:
    """Label a logarithmic axis with plain numbers, at these digits of each power of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def png_bytes(figure: "Figure") -> bytes:
    """Return a figure as the bytes of a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def write_figures(folder: PathLike, figures: "Mapping[str, Figure]") -> List[Path]:
    """Write figures as PNG files, by name, each completely or not at all; return their paths in that order.

    Raises:
        UserError: the folder, which is created if missing, or a file cannot be written.
    """
    target = make_folder(folder)
    for name, figure in figures.items():
        write_atomically(target / name, png_bytes(figure))
    return [target / name for name in figures]
