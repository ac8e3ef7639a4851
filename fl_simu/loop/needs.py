"""What one part of an experiment needs of the others, told in a line."""

from typing import Any, Mapping

from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import require
from fl_simu.station.protocols.base import Protocol
from fl_simu.station.protocols.buffered import Buffered

# What `takes_once` asks, as messages say it.
ONCE = "a protocol in rounds that takes no update twice"


def takes_once(protocol: Protocol) -> bool:
    """Whether every update is of the present model, and is taken once."""
    return not (isinstance(protocol, Buffered) or protocol.repeats())


def require_all(experiment: Experiment, table: str, wanted: Mapping[str, Any]) -> None:
    """Raise BadField unless all is given that the part in a table needs.

    Args:
        wanted: what it needs, in a few words, and whether that is given.
    """
    for what, given in wanted.items():
        require(bool(given), f"{table}.name", experiment.named(table), f"it needs {what}")
