"""Records as rows of a pandas DataFrame."""

from typing import TYPE_CHECKING, Any, Dict, Sequence

from fl_simu.kernel.errors import UserError
from fl_simu.kernel.packages import install_command, installed
from fl_simu.results.columns import columns_of
from fl_simu.results.records import RoundRecord, Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def import_pandas() -> Any:
    """The pandas module.

    Raises:
        UserError: pandas is not installed.
    """
    if not installed("pandas"):
        raise UserError(f"frames need pandas, which is not installed: `{install_command('pandas')}`")
    import pandas

    return pandas


def row(record: RoundRecord) -> Dict[str, Any]:
    """The numbers of a round, by column."""
    accepted = [outcome.accepted for outcome in record.ues]
    return {
        "round": record.round,
        "time_s": record.time_s,
        "accuracy": record.accuracy,
        "loss": record.loss,
        "uplink_bits": record.uplink_bits,
        "downlink_bits": record.downlink_bits,
        "full": accepted.count("full"),
        "base": accepted.count("base"),
        "rejected": accepted.count("none"),
        "wall_time_s": record.wall_time_s,
        **record.meters,
    }


def figure_of(
    records: Sequence[RoundRecord], summary: Summary, y: str, over: str, style: str = "screen"
) -> "Figure":
    """A figure of one column of a run's rows over another.

    Raises:
        UserError: there is no such column or style.
    """
    from fl_simu.results.plots import column_figure

    rows = [row(record) for record in records]
    return column_figure(rows, y, over, summary.name, columns_of(summary.facts), style)
