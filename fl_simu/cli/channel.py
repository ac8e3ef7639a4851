"""Output of the command `channel`."""

import math
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import UserError
from fl_simu.loop.plan import Plan, plan
from fl_simu.results.channel_plots import draw_channel_figures, write_animation
from fl_simu.results.figures import require_matplotlib
from fl_simu.results.files import make_folder, write_json
from fl_simu.studies.channel import PERCENTILES, Study, draw, numbers, rate_courses
from fl_simu.studies.on_air import beside
from fl_simu.studies.sums import sums

Say = Callable[[str], None]

UES_DRAWN = 5


def study_channel(
    experiment: Experiment,
    pass_rate: Optional[float],
    thresholds_s: Sequence[float],
    draws: int,
    ues: Optional[int],
    seconds: Optional[float],
    samples: Optional[int],
    out: Optional[Path],
    animation: Optional[Path],
    say: Say,
) -> Dict[str, Any]:
    """Draw uploads over an experiment's channel; print and write the results.

    Args:
        experiment: nothing is trained, so its backend and data are not used.
        pass_rate: the share of uploads for which the study finds a threshold.
        thresholds_s: thresholds in s in addition to those of the protocol.
        draws, ues, seconds: as for `channel_study.draw`.
        samples: training samples of each UE, as for `on_air.beside`.
        out: the folder for channel.json and the figures; runs/channel-<name>-<time> if None.
        animation: a GIF of the rates over time.
        say: prints a line.

    Returns:
        The content of channel.json.

    Raises:
        UserError: a number out of range, or a file that cannot be written.
    """
    require_matplotlib()
    _check(pass_rate, thresholds_s, animation)
    planned = plan(experiment.with_(backend="torch"))
    if experiment.medium.analog:
        return _study_sums(planned, draws, ues, out, say)
    study = draw(planned, draws, ues, seconds)
    limits = dict(study.planned.experiment.protocol.thresholds_s())
    limits.update({f"threshold {k + 1}": limit_s for k, limit_s in enumerate(thresholds_s)})
    found = {**numbers(study, limits, pass_rate), **beside(study, limits, samples)}
    courses = rate_courses(study, UES_DRAWN)
    say(report(found))
    # Write only after everything is computed, so that a mistake leaves no folder behind.
    folder = _folder(experiment, out)
    write_json(folder / "channel.json", found)
    written = [folder / "channel.json", *_figures(study, courses, folder, limits)]
    if animation is not None:
        written.append(write_animation(courses, animation, experiment.name))
    say("\nfigures and numbers\n" + "\n".join(f"  {path}" for path in written))
    return found


def _study_sums(planned: Plan, draws: int, ues: Optional[int], out: Optional[Path], say: Say) -> Dict[str, Any]:
    """Study over-the-air sums: they have no rates or delays of single uploads, and no figures."""
    found = sums(planned, draws, ues)
    say(sums_report(found))
    file = _folder(planned.experiment, out) / "channel.json"
    write_json(file, found)
    say(f"\nnumbers\n  {file}")
    return found


def _folder(experiment: Experiment, out: Optional[Path]) -> Path:
    return make_folder(out or Path("runs") / time.strftime(f"channel-{experiment.name}-%Y%m%d-%H%M%S"))


def _check(pass_rate: Optional[float], thresholds_s: Sequence[float], animation: Optional[Path]) -> None:
    if pass_rate is not None and not 0 < pass_rate < 1:
        raise UserError(f"--pass-rate {pass_rate:g} is not allowed: a number above 0 and below 1")
    for limit_s in thresholds_s:
        if not limit_s > 0:
            raise UserError(f"--threshold {limit_s:g} is not allowed: a number of seconds above 0")
    if animation is not None and (animation.suffix.lower() != ".gif" or not animation.parent.is_dir()):
        raise UserError(f"--animate {animation} is not allowed: a file that ends in .gif, in a folder that exists")


def _figures(study: Study, courses: Sequence[Any], folder: Path, limits: Mapping[str, float]) -> List[Path]:
    delays = {name: study.delays(k) for k, name in enumerate(study.names)}
    return draw_channel_figures(courses, study.rates_mbps(), delays, limits, folder, study.planned.experiment.name)


def report(found: Mapping[str, Any]) -> str:
    """The numbers of a study as tables."""
    arguments = ", ".join(f"{key} = {value}" for key, value in found["channel"].items() if key != "name")
    lines = [
        "{}: {:,} uploads of {} UEs, seed {}".format(found["name"], found["draws"], found["ues"], found["seed"]),
        "channel {} ({})".format(found["channel"]["name"], arguments),
    ]
    lines += [
        "{part}: {size_bits:,} bits, {load_mbit:.2f} Mbit on the air".format(**row) for row in found["loads"]
    ]
    if "medium" in found:
        form = "medium {name}, allocator {allocator}: {rounds} rounds of {ues} UEs that start to send together"
        lines.append(form.format(**found["medium"]))
    if "download" in found:
        form = "downlink {cast}, codec {codec}: {ues} UEs per round, {bits:,.0f} bits for all of them"
        lines.append(form.format(**found["download"]))
    lines += ["", *_shares(found)]
    if "wanted" in found:
        lines += ["", *_wanted(found["wanted"])]
    means = _means(found)
    return "\n".join([*lines, "", *_spreads(found), *(["", *means] if means else [])])


def sums_report(found: Mapping[str, Any]) -> str:
    """The numbers of a study of sums as lines."""
    silent, noise = found["silent"], found["noise_std"]
    lines = [
        "{name}: medium {medium}, {rounds:,} rounds of {ues} UEs, seed {seed}".format(**found),
        "a sum of {numbers:,} numbers: {symbols:,} symbols in sequence, {seconds:.5g} s".format(**found),
        "silent UEs: {measured:.3%}, 95 % interval {low:.3%} to {high:.3%}; closed form {closed_form:.3%}".format(
            **silent
        ),
        "standard deviation of the noise on a number of the mean, for models of variance 1: "
        "mean {mean:.4g}, median {p50:.4g}, 99 % {p99:.4g}".format(**noise),
    ]
    if "sending_j" in found:
        lines.append("energy of sending per UE that sends: {sending_j:.4g} J".format(**found))
    return "\n".join(lines)


def _shares(found: Mapping[str, Any]) -> List[str]:
    rows = [("{part} within {threshold_s:.5g} s ({threshold})".format(**row), row) for row in found["pass_rates"]]
    if "outage" in found:
        rows.append(("fading blocks in outage", found["outage"]))
    rows += [(f"{row['part']} lost", row["lost"]) for row in _lost(found)]
    if "medium" in found:
        form = "{part} within {threshold_s:.5g} s ({threshold}), {ues} at once"
        together, unknown = found["medium"]["ues"], {"low": math.nan, "closed_form": None}
        at_once = found["medium"]["pass_rates"]
        rows += [(form.format(**row, ues=together), {**row, **unknown}) for row in at_once]
    if not rows:
        return ["pass rates: the protocol has no delay threshold; give one with --threshold SECONDS"]
    width = max(len(label) for label, _ in rows)
    form = "{:<" + str(width) + "}  {:>9}  {:>19}  {:>11}"
    lines = [form.format("share of uploads", "measured", "95 % interval", "closed form")]
    for label, row in rows:
        interval = "none" if row["low"] != row["low"] else "{:.3%} to {:.3%}".format(row["low"], row["high"])
        known = row["closed_form"]
        lines.append(
            form.format(label, f"{row['measured']:.3%}", interval, "none" if known is None else f"{known:.3%}")
        )
    return lines


def _wanted(rows: Sequence[Mapping[str, Any]]) -> List[str]:
    form = "{:<34}  {:>10}  {:>12}"
    lines = [
        form.format("threshold for a pass rate of {:g}".format(rows[0]["pass_rate"]), "measured", "closed form")
    ]
    for row in rows:
        known = row["closed_form_s"]
        shown = "none" if known is None else f"{known:.5g} s"
        lines.append(form.format(row["part"], "{:.5g} s".format(row["threshold_s"]), shown))
    return lines


def _spreads(found: Mapping[str, Any]) -> List[str]:
    tables = {"rate [Mbit/s]": found["rates_mbps"]}
    tables.update({f"delay, {part} [s]": table for part, table in found["delays_s"].items()})
    for row in found.get("medium", {}).get("parts", []):
        for which in ("first", "all", "last"):
            label = f"{which} of {found['medium']['ues']} at once, {row['part']} [s]"
            tables[label] = row[which + "_s"]
    if "download" in found:
        told = found["download"]
        tables["download [s]"], tables[f"last download of {told['ues']} [s]"] = told["all_s"], told["last_s"]
    tables.update(_closed(found))
    width = max(28, *map(len, tables))
    form = "{:<" + str(width) + "}" + " {:>9}" * (1 + len(PERCENTILES))
    lines = [form.format("", "mean", *[f"{percent} %" for percent in PERCENTILES])]
    for label, table in tables.items():
        shown = [table["mean"], *(table[f"p{percent}"] for percent in PERCENTILES)]
        lines.append(form.format(label, *[f"{value:.4g}" for value in shown]))
    return lines


def _closed(found: Mapping[str, Any]) -> Dict[str, Mapping[str, Any]]:
    """The tables whose mean may have a closed form."""
    tables = {"time of training [s]": found["training_s"]} if "training_s" in found else {}
    return {**tables, **{f"energy of {what} [J]": table for what, table in found.get("energy_j", {}).items()}}


def _means(found: Mapping[str, Any]) -> List[str]:
    rows = [(f"tries, {row['part']}", row["tries"], row["closed_form_tries"]) for row in _lost(found)]
    rows += [(label, table["mean"], table["closed_form"]) for label, table in _closed(found).items()]
    form = "{:<34}  {:>10}  {:>12}"
    return [form.format("mean", "measured", "closed form")][: len(rows)] + [
        form.format(label, f"{measured:.5g}", "none" if known is None else f"{known:.5g}")
        for label, measured, known in rows
    ]


def _lost(found: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return found["loss"]["parts"] if "loss" in found else ()
