"""The figure that compares one experiment on several backends."""

from typing import TYPE_CHECKING, Any, Mapping, Sequence

from fl_simu.results.figures import new_figure, plain_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def backends_figure(rows: Sequence[Mapping[str, Any]], title: str) -> "Figure":
    """Draw each backend's wall-clock time per round, with the median, and its peak memory.

    Args:
        rows: the rows of compare.json.
        title: of the figure.
    """
    figure = new_figure(title)
    times, memory = figure.subplots(1, 2)
    places = range(1, len(rows) + 1)
    times.boxplot([row["rounds_wall_s"] for row in rows], positions=list(places), whis=(0, 100))
    times.set_ylabel("wall-clock time of a round [s]")
    memory.bar(list(places), [row["peak_memory_mb"] for row in rows], width=0.5)
    memory.set_ylabel("peak memory [MB]")
    for axes in (times, memory):
        axes.set_ylim(bottom=0)
        axes.set_xticks(list(places))
        axes.set_xticklabels([plain_text(row["label"].replace(" ", "\n")) for row in rows])
    return figure
