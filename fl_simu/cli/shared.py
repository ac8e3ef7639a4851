"""What several commands share: options, and how a line is printed."""

import errno
import os
import sys
from pathlib import Path
from typing import Any, Callable, Optional, Tuple

import click

from fl_simu.kernel.ending import output_watched


class PathType(click.ParamType):
    """A path of printable characters that the system can look up; it need not exist."""

    name = "path"

    def convert(self, value: Any, param: Any, ctx: Any) -> Path:
        from fl_simu.kernel.errors import shown

        # Unprintable characters are more often a slip than part of a name; a null byte is never allowed in one.
        if not str(value).isprintable():
            self.fail(f"{shown(str(value))} is not allowed: a path of printable characters", param, ctx)
        try:
            os.stat(str(value))
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
                self.fail(f"{shown(str(value))} is not allowed: {error.strerror}", param, ctx)
        return Path(value)


def say(text: str) -> None:
    """Print a line."""
    with output_watched(sys.stdout):
        click.echo(text)


def _options(*options: Callable) -> Callable:
    def decorate(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


data_dir_option = click.option("--data-dir", type=PathType(), help="Search this folder for data sets first.")
out_option = click.option("--out", type=PathType(), help="Folder of the run; by default runs/<name>-<time>.")
address_option = click.option(
    "--address", metavar="A", help="Address of the cluster that backend ray joins, or auto."
)
target_option = click.option(
    "--target",
    "targets",
    type=float,
    multiple=True,
    metavar="A",
    help="Report the time and bits to test accuracy A, 0 to 1; repeatable.",
)
log_option = click.option(
    "--log",
    "log",
    multiple=True,
    metavar="TABLE",
    help="Also log to tensorboard, wandb or mlflow: a name or an inline table; repeatable.",
)
experiment_options = _options(
    click.option("--rounds", type=int, help="Number of rounds (aggregations)."),
    click.option("--seed", type=int, help="Seed of every random draw."),
    target_option,
    click.option(
        "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set a key of the config; repeatable."
    ),
    data_dir_option,
    out_option,
)


def assigned(
    backend: Optional[str],
    rounds: Optional[int],
    seed: Optional[int],
    targets: Tuple[float, ...],
    others: Tuple[str, ...],
) -> Tuple[str, ...]:
    """The changes of a config that options ask for, as for `--set`."""
    asked = list(targets) if targets else None
    given = {"backend": backend, "rounds": rounds, "seed": seed, "evaluation.targets": asked}
    return others + tuple(f"{key}={value}" for key, value in given.items() if value is not None)
