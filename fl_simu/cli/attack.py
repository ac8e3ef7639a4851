"""The command `attack` and its options."""

import os
from pathlib import Path
from typing import Optional, Tuple

import click

from fl_simu.cli.shared import PathType, assigned, data_dir_option, experiment_options, log_option, say

PAPERS_MODELS = {**{letter: "lens_" + letter.lower() for letter in "ABCDEFG"}, "LR": "logistic_regression"}


@click.group(invoke_without_command=True)
@click.pass_context
def attack(context: click.Context) -> None:
    """Run an attack: gradient leakage or model poisoning."""
    if context.invoked_subcommand is None:
        say(context.get_help())


@attack.command()
@click.option(
    "--images", type=int, default=10, show_default=True, metavar="N", help="Number of images, or of batches."
)
@click.option(
    "--seeds", type=int, default=10, show_default=True, metavar="N", help="Seeds 0 to N-1 for each image or batch."
)
@click.option(
    "--manual-seed",
    "manual",
    type=int,
    multiple=True,
    metavar="S",
    help="Seed torch with S, as the published code does, instead of --seeds; repeatable.",
)
@click.option(
    "--method", default="dlg", show_default=True, help="Attack method: dlg, idlg or inverting_gradients."
)
@click.option("--iterations", type=int, metavar="N", help="Maximum number of iterations; by default as published.")
@click.option("--codec", default="float32", show_default=True, help="Codec of the upload; see `list codecs`.")
@click.option("--layers", type=int, metavar="N", help="Number of codec layers that the BS has; by default all.")
@click.option(
    "--local-steps", type=int, default=1, show_default=True, metavar="N", help="Number of SGD steps of the UE."
)
@click.option(
    "--batch-size", type=int, default=1, show_default=True, metavar="N", help="Number of images of the UE."
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a key: method.*, codec.*, model.*, data.*, privacy.*, transforms or lr; repeatable.",
)
@click.option(
    "--jobs", type=int, default=os.cpu_count(), show_default="cores", help="Number of trials in parallel."
)
@data_dir_option
@click.option(
    "--out",
    type=PathType(),
    help="Output folder; by default runs/leakage-.... Trials that have ended there are kept.",
)
def leakage(
    images: int,
    seeds: int,
    manual: Tuple[int, ...],
    method: str,
    iterations: Optional[int],
    codec: str,
    layers: Optional[int],
    local_steps: int,
    batch_size: int,
    assignments: Tuple[str, ...],
    jobs: int,
    data_dir: Optional[Path],
    out: Optional[Path],
) -> None:
    """Reconstruct images from uploads: DLG, iDLG, inverting gradients."""
    from fl_simu.cli.leakage import attack_leakage, seeds_of
    from fl_simu.studies.leakage_setting import make_setting

    changes = assignments if iterations is None else (*assignments, f"method.iterations={iterations}")
    given = {"method": method, "codec": codec, "layers": layers, "local_steps": local_steps}
    drawn = seeds_of(seeds, manual)
    setting = make_setting(changes, **given, batch_size=batch_size, manual=bool(manual))
    attack_leakage(setting, images, drawn, jobs, data_dir, out, say)


@attack.command()
@click.argument("file", type=PathType(), required=False)
@click.option("--attack", "name", help="Attack of the malicious UEs; see `list attacks`.")
@click.option("--rule", help="Aggregation rule of the BS; see `list aggregations`.")
@click.option("--model", help="Model: A to G or LR of the poisoning paper, or one of `list models`.")
@experiment_options
@log_option
def poisoning(
    file: Optional[Path],
    name: Optional[str],
    rule: Optional[str],
    model: Optional[str],
    rounds: Optional[int],
    seed: Optional[int],
    targets: Tuple[float, ...],
    assignments: Tuple[str, ...],
    data_dir: Optional[Path],
    out: Optional[Path],
    log: Tuple[str, ...],
) -> None:
    """Run an experiment with malicious UEs among benign ones.

    Without FILE, ten UEs train on Fashion-MNIST, and one of them is malicious. The output is the same
    as for `run`.
    """
    from fl_simu.cli.defaults import POISONING
    from fl_simu.cli.run import read_experiment, read_loggers, run_experiment

    parts = {"attack.name": name, "aggregation.name": rule, "model.name": PAPERS_MODELS.get(model or "", model)}
    named = tuple(f"{key}={value}" for key, value in parts.items() if value is not None)
    changes = named + assigned(None, rounds, seed, targets, assignments)
    experiment = read_experiment(file or POISONING, changes)
    run_experiment(experiment, data_dir, out, say, loggers=read_loggers(file, changes, log))
