"""The command line: parse, assemble, run, print."""

import contextlib
import errno
import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, Optional, Sequence, Tuple

import click

from fl_simu.cli.attack import attack
from fl_simu.cli.shared import (
    PathType,
    address_option,
    assigned,
    data_dir_option,
    experiment_options,
    log_option,
    out_option,
    say,
    target_option,
)
from fl_simu.kernel.ending import OutputLost, flush, open_closed_streams, stopped_by_signals


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run a command; return its exit status.

    The status is 0 for success, 1 if the verdict of a claim differs from the recorded one, and 2 for a user's
    mistake or if the output cannot be written. It is 130 for Ctrl-C, and 128 + n for signal n, for example SIGPIPE
    if the reader of the output has exited.
    """
    open_closed_streams()
    with stopped_by_signals() as came:
        try:
            status = _run(arguments)
        except (KeyboardInterrupt, click.Abort):
            status = 128 + (came[0] if came else signal.SIGINT)
            _tell("stopped")
        except OutputLost as error:
            status = 128 + came[0] if came else _without_output(error)
        except OSError as error:
            if not _of_click(error):
                raise
            status = _without_output(OutputLost(error))
        try:
            flush(sys.stdout)
        except OutputLost as error:
            status = status or _without_output(error)
    return status


def _run(arguments: Optional[Sequence[str]]) -> int:
    from fl_simu.kernel.errors import UserError, brief, one_line

    try:
        return cli.main(args=arguments, prog_name="python -m fl_simu", standalone_mode=False) or 0
    except UserError as error:
        # A path may be as long as the system allows.
        words = one_line(str(error)).split(" ")
        _tell(" ".join(brief(word, 300) for word in words))
        return 2
    except click.ClickException as error:
        # Messages of click are short, unless they repeat the user's input.
        _tell(brief(one_line(error.format_message()), 300))
        return 2
    except (MemoryError, RuntimeError) as error:
        if not _of_memory(error):
            raise
        _tell(f"out of memory: {brief(one_line(str(error)), 300) or 'this machine holds less'}")
        return 2


def _of_memory(error: Exception) -> bool:
    # Some out-of-memory errors of torch have no class of their own. If torch failed, it is already imported.
    from fl_simu.backends.devices import is_out_of_memory

    return is_out_of_memory(error)


def _tell(text: str) -> None:
    # The terminal may be closed already.
    with contextlib.suppress(OSError):
        click.echo(f"fl_simu: {text}", err=True)


def _of_click(error: OSError) -> bool:
    """Whether click itself failed to print something, such as the text of --help."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return frames[-1].f_globals.get("__name__", "").startswith("click.")


def _without_output(why: OutputLost) -> int:
    if why.errno == errno.EPIPE:
        return 128 + signal.SIGPIPE
    _tell(f"cannot write to the standard output: {why}")
    return 2


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@data_dir_option
@out_option
@click.pass_context
def cli(context: click.Context, data_dir: Optional[Path], out: Optional[Path]) -> None:
    """Simulate federated learning over a radio uplink.

    Without a command, run the default experiment end to end.
    """
    if context.invoked_subcommand is not None and (data_dir or out):
        raise click.UsageError("--data-dir and --out belong after the command")
    if context.invoked_subcommand is None:
        from fl_simu.cli.first import run_default

        run_default(data_dir, out, say)


cli.add_command(attack)


@cli.command()
@click.argument("file", type=PathType(), required=False)
@click.option("--backend", help="Backend that trains the UEs; see `list backends`.")
@address_option
@experiment_options
@log_option
@click.option("--resume", type=PathType(), help="Resume the run in this folder.")
@click.option(
    "--realtime", type=float, metavar="F", help="Slow the run down to F virtual seconds per real second."
)
def run(
    file: Optional[Path],
    backend: Optional[str],
    address: Optional[str],
    rounds: Optional[int],
    seed: Optional[int],
    targets: Tuple[float, ...],
    assignments: Tuple[str, ...],
    data_dir: Optional[Path],
    out: Optional[Path],
    log: Tuple[str, ...],
    resume: Optional[Path],
    realtime: Optional[float],
) -> None:
    """Run the experiment in a TOML file."""
    from fl_simu.cli.run import go_on, run_file

    changes = assigned(backend, rounds, seed, targets, assignments)
    changes += () if address is None else (f"backend.address={json.dumps(address)}",)
    if resume is None:
        run_file(file, changes, data_dir, out, realtime, say, log)
    else:
        go_on(resume, file, changes, data_dir, out, realtime, say, log)


@cli.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--strict", is_flag=True, help="Also reproduce the errors of PySyft 0.2.4.")
@data_dir_option
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Use only the first N images of each torchvision data set.",
)
@click.option(
    "--todays-draws", is_flag=True, help="Make seeded draws as the installed torch does, not as torch 1.4."
)
@click.option("--traceback", is_flag=True, help="Show the lines of installed packages in tracebacks too.")
@click.option("--allow-network", is_flag=True, help="Allow websocket workers on other machines.")
@click.argument("script", type=PathType())
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
def exec_command(script: Path, arguments: Tuple[str, ...], **options: Any) -> None:
    """Run an unmodified SCRIPT or notebook of PySyft 0.2."""
    from fl_simu.old_scripts.execution import Options, exec_script

    raise SystemExit(exec_script(script, arguments, Options(**options)))


@cli.command("list")
@click.argument("kind", required=False)
def list_parts(kind: Optional[str]) -> None:
    """List the parts of one KIND, or of all kinds.

    The kinds are experiments, backends, codecs, channels, protocols, ...
    """
    from fl_simu.cli.inventory import listing

    say(listing(kind))


@cli.command()
@click.argument("file", type=PathType(), required=False)
@click.option("--backends", help="Backend names, separated by commas.")
@click.option(
    "--backend", "tables", multiple=True, metavar="TABLE", help="A backend name or an inline table; repeatable."
)
@address_option
@experiment_options
def compare(
    file: Optional[Path],
    backends: Optional[str],
    tables: Tuple[str, ...],
    address: Optional[str],
    rounds: Optional[int],
    seed: Optional[int],
    targets: Tuple[float, ...],
    assignments: Tuple[str, ...],
    data_dir: Optional[Path],
    out: Optional[Path],
) -> None:
    """Compare backends on one experiment, each in its own process.

    Without FILE, they run the default experiment.
    """
    from fl_simu.cli.compare import compare_backends
    from fl_simu.cli.defaults import MNIST
    from fl_simu.cli.run import read_experiment
    from fl_simu.kernel.config import part_table
    from fl_simu.kernel.errors import UserError

    texts = [*(backends.split(",") if backends is not None else ()), *tables]
    if not texts:
        raise UserError("--backends is missing: names, or --backend with a name or an inline table of TOML")
    given = [part_table(text.strip(), "--backend") for text in texts]
    experiment = read_experiment(file or MNIST, assigned(None, rounds, seed, targets, assignments))
    compare_backends(experiment, given, data_dir, out, say, address)


@cli.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option("--quick", is_flag=True, help="Run a small version of each; takes minutes.")
@click.option("--jobs", type=int, default=os.cpu_count(), show_default="cores", help="Number of runs in parallel.")
@data_dir_option
@click.option("--out", type=PathType(), help="Output folder; by default runs/reproduce.")
def reproduce(
    names: Tuple[str, ...], quick: bool, jobs: int, data_dir: Optional[Path], out: Optional[Path]
) -> None:
    """Reproduce experiments of the folder experiments/.

    Each NAME is an experiment, papers, or all. Writes the published results next to ours, figures, and one page
    with everything. Ends with status 1 if the verdict of a claim differs from the recorded one.
    """
    from fl_simu.cli.reproduce import reproduce as reproduce_studies

    changed = reproduce_studies(names, quick, jobs, data_dir, out, say)
    for line in changed:
        _tell(line)
    if changed:
        click.get_current_context().exit(1)


@cli.command()
@click.argument("folders", nargs=-1, metavar="DIR...", type=PathType())
@target_option
@click.option(
    "--out",
    type=PathType(),
    help="HTML file; by default report.html in DIR, or runs/report-<time>.html for several.",
)
def report(folders: Tuple[Path, ...], targets: Tuple[float, ...], out: Optional[Path]) -> None:
    """Write one self-contained HTML page about the runs in DIR..."""
    from fl_simu.cli.report import report as write_report

    write_report(folders, targets, out, say)


@cli.command()
@click.argument("folder", metavar="DIR", type=PathType())
@click.option("--csv", "as_csv", is_flag=True, help="Write rounds.csv and uploads.csv; for a study results.csv.")
@click.option("--latex", "as_latex", is_flag=True, help="Write LaTeX tables for the package booktabs.")
@click.option("--out", type=PathType(), help="Folder of the files; by default DIR.")
def export(folder: Path, as_csv: bool, as_latex: bool, out: Optional[Path]) -> None:
    """Export tables of the run or study in DIR: CSV, LaTeX."""
    from fl_simu.cli.export import export as write_tables

    write_tables(folder, as_csv, as_latex, out, say)


@cli.command()
@click.argument("file", type=PathType())
@click.option(
    "--pass-rate", type=float, metavar="P", help="Find the threshold that a share P of the uploads meets."
)
@click.option(
    "--threshold",
    "thresholds_s",
    type=float,
    multiple=True,
    metavar="S",
    help="Another delay threshold in s; repeatable.",
)
@click.option("--draws", type=int, default=100_000, show_default=True, metavar="N", help="Number of uploads.")
@click.option("--ues", type=int, metavar="N", help="Number of UEs; by default the experiment's, at most 1,000.")
@click.option("--seconds", type=float, metavar="S", help="Virtual time in s during which the uploads begin.")
@click.option("--samples", type=int, metavar="N", help="Samples per UE, for the time and energy of training.")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Set a key of the config; repeatable."
)
@click.option("--out", type=PathType(), help="Output folder; by default runs/channel-<name>-<time>.")
@click.option("--animate", type=PathType(), metavar="OUT.gif", help="Write an animation of the rates.")
def channel(
    file: Path,
    pass_rate: Optional[float],
    thresholds_s: Tuple[float, ...],
    draws: int,
    ues: Optional[int],
    seconds: Optional[float],
    samples: Optional[int],
    assignments: Tuple[str, ...],
    out: Optional[Path],
    animate: Optional[Path],
) -> None:
    """Simulate the radio of an experiment without training.

    Prints rates, delays, pass rates, losses and energy, also on a shared medium.
    """
    from fl_simu.cli.channel import study_channel
    from fl_simu.cli.run import read_experiment

    experiment = read_experiment(file, assignments)
    study_channel(experiment, pass_rate, thresholds_s, draws, ues, seconds, samples, out, animate, say)


@cli.group(invoke_without_command=True)
@click.pass_context
def data(context: click.Context) -> None:
    """List the data sets, or get one that is missing."""
    if context.invoked_subcommand is None:
        say(context.get_help())


@data.command("list")
@data_dir_option
def data_list(data_dir: Optional[Path]) -> None:
    """List the data sets, and where each is on this machine."""
    from fl_simu.cli.inventory import data_listing

    say(data_listing(data_dir))


@data.command("fetch")
@click.argument("name")
@data_dir_option
def data_fetch(name: str, data_dir: Optional[Path]) -> None:
    """Find or download a data set."""
    from fl_simu.data.datasets import fetch

    for path in fetch(name, data_dir):
        say(str(path))


@cli.command()
def doctor() -> None:
    """Check the installation.

    Shows the stack of this machine, what is missing, and the command that fixes it.
    """
    from fl_simu.cli.doctor import diagnosis

    say(diagnosis())
