"""Requirements of one part of an experiment on the others, each stated in one line."""

from typing import Any, Mapping

from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import require
from fl_simu.station.protocols.base import Protocol
from fl_simu.station.protocols.buffered import Buffered

# The condition of `takes_once`, as worded in messages.
ONCE = "a protocol in rounds that takes no update twice"


def takes_once(protocol: Protocol) -> bool:
    """Whether every update is of the current model and is taken once."""
    return not (isinstance(protocol, Buffered) or protocol.repeats())


def require_all(experiment: Experiment, table: str, wanted: Mapping[str, Any]) -> None:
    """Raise BadField unless all requirements of the part in a table are met.

    Args:
        wanted: for each requirement, in a few words, whether it is met.
    """
    for what, given in wanted.items():
        require(bool(given), f"{table}.name", experiment.named(table), f"it needs {what}")
