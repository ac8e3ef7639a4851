"""Observers that come with fl_simu: each logs a run with another program, without affecting the run."""

from typing import Any, List, Mapping, Type

from fl_simu.kernel.checked import make
from fl_simu.kernel.errors import BadField, UserError, nearest, shown
from fl_simu.observers.base import Logger as Logger
from fl_simu.observers.ml_flow import MLflow as MLflow
from fl_simu.observers.tensor_board import TensorBoard as TensorBoard
from fl_simu.observers.weights_and_biases import WandB as WandB

LOGGERS: Mapping[str, Type[Logger]] = {"mlflow": MLflow, "tensorboard": TensorBoard, "wandb": WandB}


def loggers_of(log: Any) -> List[Logger]:
    """Create the loggers listed under the key `log` of a TOML document.

    Args:
        log: a list of names, and of tables with a name and arguments; a single entry needs no list.

    Raises:
        UserError: it has another form, an unknown name or argument, or needs a package that is not installed.
    """
    return [_logger(one) for one in (log if isinstance(log, list) else [log])]


def _logger(value: Any) -> Logger:
    table = {"name": value} if isinstance(value, str) else value
    if not isinstance(table, dict) or not isinstance(table.get("name"), str):
        raise BadField("log", value, "a name, or a table with a name")
    if table["name"] not in LOGGERS:
        raise UserError(f"log.name = {shown(table['name'])} is not known: {nearest(table['name'], LOGGERS)}")
    made: Logger = make(LOGGERS[table["name"]], {key: table[key] for key in table if key != "name"}, "log.")
    return made
