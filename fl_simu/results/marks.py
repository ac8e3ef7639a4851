"""Shared elements of all figures of runs: colours, words, axes, legends."""

from typing import TYPE_CHECKING, Any, Sequence, Tuple

from fl_simu.results.records import RoundRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Blue and orange of Okabe and Ito's colour-blind-safe palette, and a grey that is lighter than one and darker than
# the other, so that the three also differ in a greyscale print.
COLOURS = {"full": "#0072B2", "base": "#E69F00", "none": "#6E6E6E"}
WORDS = {"full": "accepted in full", "base": "accepted base only", "none": "rejected"}
HATCHES = {"full": "", "base": "", "none": "///"}

# The per-round quantities of a run, with the labels of their axes.
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


def round_axis(axes: "Axes", records: Sequence[RoundRecord]) -> None:
    """An axis of rounds as whole numbers, with a margin of half a round at both ends."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    first, last = (records[0].round, records[-1].round) if records else (1, 1)
    axes.set_xlim(first - 0.6, last + 0.6)


def legend_above(axes: "Axes", handles: Sequence[Any]) -> None:
    """A legend in one row above the axes."""
    spacing = {"columnspacing": 1.2, "handletextpad": 0.4}
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
    axes.legend(handles=handles, ncol=len(handles), frameon=False, **place, **spacing)


def say_empty(*panels: "Axes") -> None:
    """Write into panels that there is nothing to show."""
    for axes in panels:
        text = axes.text(0.5, 0.5, "nothing to show", ha="center", va="center", transform=axes.transAxes)
        text.set_in_layout(False)


def bit_unit(most: float) -> Tuple[float, str]:
    """The unit in which a number of bits is shown: its factor and name."""
    for scale, unit in ((1e12, "Tbit"), (1e9, "Gbit"), (1e6, "Mbit"), (1e3, "kbit")):
        if most >= scale:
            return scale, unit
    return 1.0, "bit"
