"""What a column of numbers is, one number a round: a unit, a label, how they add up."""

from typing import NamedTuple


class Column(NamedTuple):
    """One number a round, which travels unread through records, summary, tables and figures.

    Args:
        unit: in which it is told, as "J".
        label: what it is, in a few words.
        total: what a run comes to: the "sum" over its rounds, or the "last" round's.
        axis: whether accuracy is drawn over it, and told where a target was reached.
        figure: what the figure shows in which it is drawn over rounds, with the other columns that name the same,
            as "accuracy on own samples"; in none where it is empty.
    """

    unit: str
    label: str
    total: str = "sum"
    axis: bool = False
    figure: str = ""

    @property
    def heading(self) -> str:
        """Of a column of a table, or of an axis."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label
