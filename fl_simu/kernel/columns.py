"""The description of a column of numbers, one per round: its unit, its label, and how to total it."""

from typing import NamedTuple


class Column(NamedTuple):
    """One number per round. Records, summary, tables and figures carry it without knowing its meaning.

    Args:
        unit: for example "J".
        label: what it is, in a few words.
        total: the total of a run: the "sum" over its rounds, or the value of the "last" round.
        axis: whether accuracy is plotted over it, and its total is reported where a target accuracy is reached.
        figure: the topic of the figure that plots it over rounds, with all columns of the same topic, for example
            "accuracy on own samples"; empty for no such figure.
    """

    unit: str
    label: str
    total: str = "sum"
    axis: bool = False
    figure: str = ""

    @property
    def heading(self) -> str:
        """The heading of a table column or an axis."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label
