"""docs/benchmarks.md, made from the figures alone with nothing but medians, ratios and shares."""

from pathlib import Path
from statistics import median
from string import Template
from typing import List, Optional

from benchmarks.peers.goals import (
    NOTHING,
    POINTER_WAYS,
    Figures,
    best,
    goals,
    memories,
    overhead_shares,
    percent_of_peak,
    pointer_overheads,
    pointer_shares,
    seconds,
)
from fl_simu.results.tables import markdown_table

TEMPLATE = Template((Path(__file__).resolve().parent / "template.md").read_text(encoding="utf-8"))


def render(figures: Figures) -> str:
    """The page."""
    quick, whole = figures["quick"], figures["command"] == "make benchmark"
    text = TEMPLATE.substitute(
        command=figures["command"],
        date=figures["date"],
        added="".join(f" `{one['command']}` added to it on {one['date']}." for one in figures.get("added", ())),
        size="It was a quick run: its sizes are too small to compare anything. " if quick else "",
        minutes="{:.0f} minutes on this machine".format(figures["minutes"]) if whole else "some ten minutes",
        machine=_machine(figures),
        goals=_goals(figures),
        jobs="\n".join(_job(job, figures) for job in figures["jobs"]),
        beside=_beside(figures),
        settings=_settings(figures),
    )
    return text.replace(" \n", "\n")


def _machine(figures: Figures) -> str:
    machine = figures["machine"]
    rows = [
        ["machine", ""],
        [
            "processor",
            f"{machine['processor']}, {machine['cores']} cores, {machine['vector'] or 'no vector set known'}",
        ],
        ["memory", f"{machine['memory_gb']:.0f} GB"],
        ["system", f"{machine['system']}, Python {machine['python']}"],
        ["packages", ", ".join(f"{name} {version}" for name, version in sorted(figures["versions"].items()))],
        [
            "sgemm peak",
            f"{machine['sgemm_gflops']:.0f} GFLOP/s on one core, {machine['sgemm_gflops_all']:.0f} on all "
            "(torch.mm of two 2048 x 2048 matrices)",
        ],
        ["memory bandwidth", f"{machine['memory_gbps']:.0f} GB/s read and written by one core, in a copy"],
    ]
    return markdown_table(rows)


def _goals(figures: Figures) -> str:
    rows = [["what", "measured", "for comparison", "goal", ""], *(goal.cells() for goal in goals(figures))]
    return markdown_table(rows)


def _job(job: Figures, figures: Figures) -> str:
    head = f"## `{job['name']}`: {job['title']}\n\n"
    if "failed" in job:
        return head + f"Not run: {job['failed']}\n"
    machine, mine = figures["machine"], seconds(best(job, "fl_simu"))
    rows = [_HEADINGS] + [_row(job, row, machine, mine) for row in job["rows"]]
    about = (
        f"{job['about']} Data: {job['data']}. A round is {job['gflop']:.4g} GFLOP of convolutions and dense "
        f"layers, forward and backward. Loss before the first round: {job['loss_before']:.4f}. "
        f'`make benchmark ARGS="--jobs {job["name"]}"`\n\n'
    )
    failed = [f"- {row['label']}: {row['failed']}\n" for row in job["rows"] if "failed" in row]
    return (
        head + about + markdown_table(rows) + "".join(["\n", *failed] if failed else []) + _roofline(job, machine)
    )


def _roofline(job: Figures, machine: Figures) -> str:
    """The memory bound on a round, for a job that is memory-bound."""
    if "gbytes" not in job:
        return ""
    least, taken = job["gbytes"] / machine["memory_gbps"], seconds(best(job, "fl_simu"))
    share = f", {100 * least / taken:.0f} % of what fl_simu's fastest backend takes" if taken else ""
    return (
        f"\nIf torch's operators train the models as a stack, a round moves {1e3 * job['gbytes']:.0f} MB: each "
        "model is written once, read in each step, given a gradient and updated, and read for the mean; each "
        "image is copied into its batch and read twice. At the memory bandwidth of one core that is "
        f"{1e3 * least:.0f} ms{share}. Data that stay in a cache need less.\n"
    )


def _settings(figures: Figures) -> str:
    """How each row was run, taken from the first job that has the row."""
    rows = [row for job in figures["jobs"] for row in job.get("rows", ()) if "settings" in row]
    told = {row["label"]: row["settings"] for row in reversed(rows)}
    return "".join(f"- {label}: {told[label]}\n" for label in dict.fromkeys(row["label"] for row in rows))


_HEADINGS = [
    *("", "s per round", "min to max", "ratio to fl_simu's best", "cores", "GFLOP/s", "% of their peak"),
    *("loss after", "weight difference"),
]


def _row(job: Figures, row: Figures, machine: Figures, mine: Optional[float]) -> List[str]:
    taken = seconds(row)
    if taken is None:
        return [row["label"], "not run, see below", *[NOTHING] * (len(_HEADINGS) - 2)]
    timed, apart = row["seconds"][1:], row.get("difference")
    return [
        row["label"],
        f"{taken:.3g}",
        f"{min(timed):.3g} to {max(timed):.3g}",
        f"{taken / mine:.2f}" if mine else NOTHING,
        str(row["cores"]),
        f"{job['gflop'] / taken:.3g}",
        f"{percent_of_peak(job, row, machine):.0f}",
        f"{row['loss']:.4f}",
        NOTHING if apart is None else f"{apart:.1e}",
    ]


def _where_time_goes(figures: Figures) -> str:
    cells = [["job", "operators of torch, percent of the rounds' time", "the rest"]]
    for row in figures["where_time_goes"]:
        shares = {name: 100 * taken / row["rounds_s"] for name, taken in row["operators_s"].items()}
        # The other names are ranges around operators, which torch marks in Python.
        operators = {name: share for name, share in shares.items() if name.startswith("aten::")}
        largest = sorted(operators.items(), key=lambda one: -one[1])[:9]
        told = ", ".join(f"`{name[len('aten::') :]}` {share:.0f}" for name, share in largest)
        cells.append([row["name"], told, f"{100 - sum(share for _, share in largest):.0f}"])
    return (
        "## Where the time goes\n\n"
        "The torch profiler recorded two rounds of each job on backend torch with one thread, the first round "
        "included. The rest is smaller operators, Python, and the profiler's own work. "
        '`make benchmark ARGS="--jobs where_time_goes"`\n\n' + markdown_table(cells)
    )


def _beside(figures: Figures) -> str:
    """The measurements beyond the jobs, as far as they were made."""
    parts = [part(figures) for name, part in _PARTS.items() if figures.get(name)]
    failed = figures.get("failed", {})
    if failed:
        parts.append("## Not run\n\n" + "".join(f"- {name}: {why}\n" for name, why in failed.items()))
    return "\n".join(parts)


def _overhead(figures: Figures) -> str:
    alone = figures["overhead"]
    record, checkpoint = (median(alone[key][1:]) for key in ("seconds", "checkpoint_seconds"))
    rows = [["round of `notes` on", "share, %"]]
    rows += [[label, f"{share:.1f}"] for label, share in overhead_shares(figures)]
    return (
        "## What the simulation costs besides training\n\n"
        f"A round of `notes` without training, with a 4-bit affine codec, takes {1e3 * record:.0f} ms for "
        "coordinator, protocol, encoding, decoding, mean and record, and with the checkpoint that a run writes "
        f"after each round {1e3 * checkpoint:.0f} ms. The table gives the share of the former in a round with "
        'training. `make benchmark ARGS="--jobs notes overhead"`\n\n' + markdown_table(rows)
    )


def _uploads(figures: Figures) -> str:
    rates = figures["uploads"]["uploads_a_second"]
    rows = [["channel", "uploads per second, median", "min to max"]]
    rows += [
        [channel, f"{median(one):,.0f}", f"{min(one):,.0f} to {max(one):,.0f}"] for channel, one in rates.items()
    ]
    return (
        "## The coordinator alone\n\n"
        f"Uploads of {figures['uploads']['ues']} clients per round under `wait_for_all` over `orthogonal` pass "
        "through clock, protocol, link and channel; nothing is trained, encoded or evaluated. The rates are for "
        "the CPU time of one core. "
        '`make benchmark ARGS="--jobs uploads"`\n\n' + markdown_table(rows)
    )


def _long_run(figures: Figures) -> str:
    run = figures["long_run"]
    driver, workers = (", ".join(f"{one:.1f}" for one in told) for told in memories(run))
    return (
        "## Memory of a long run\n\n"
        f"Resident memory in MB after each third of {run['rounds']} rounds of 8 clients, on backend `processes` "
        f"with two workers: driver {driver}; workers together {workers}. "
        '`make benchmark ARGS="--jobs long_run"`\n'
    )


def _startup(figures: Figures) -> str:
    rows = [["stack", "backend", "s, median", "min to max"]]
    for row in figures["startup"]:
        taken = () if "failed" in row else row["seconds"]
        told = (
            [f"{median(taken):.1f}", f"{min(taken):.1f} to {max(taken):.1f}"]
            if taken
            else ["not run", row["failed"]]
        )
        rows.append([row["stack"], row["backend"], *told])
    return (
        "## Start-up\n\n"
        "The time from the command until the BS fetches the first model that was trained on a batch: imports, "
        "config, reading MNIST, the backend's own start. 16 clients, `mnist_cnn`, batch 64. "
        '`make benchmark ARGS="--jobs startup"`\n\n' + markdown_table(rows)
    )


def _many_ues(figures: Figures) -> str:
    many = figures["many_ues"]
    return (
        "## Many known clients\n\n"
        f"A complete run of {many['rounds']} rounds, with evaluation and checkpoints: {many['ues']:,} known "
        f"clients, {many['drawn']} drawn per round, {many['samples']} images each, `mnist_cnn`, 4-bit uploads, "
        f"backend torch. It takes {many['wall_s']:.1f} s in total, and its peak memory is "
        f"{many['peak_mb']:.0f} MB; the images take {many['data_mb']:.0f} MB. "
        '`make benchmark ARGS="--jobs many_ues"`\n'
    )


def _default_run(figures: Figures) -> str:
    cells = [["stack", "one core, s", "all cores, s", "ratio", "final model"]]
    for row in figures["default_run"]:
        one, several = row["one"], row["all"]
        same = "the same" if one["sha256"] == several["sha256"] else "different"
        times = [one["seconds"], several["seconds"]]
        cells.append([row["stack"], *(f"{taken:.1f}" for taken in times), f"{times[0] / times[1]:.2f}", same])
    return (
        "## The default run\n\n"
        "The time of the command `python -m fl_simu`, with start, evaluation, checkpoints and figures: on one "
        'core with `FL_SIMU_CORES=1`, and with `backend = "auto"` on all cores of this machine. '
        '`make benchmark ARGS="--jobs default_run"`\n\n' + markdown_table(cells)
    )


def _pointers(figures: Figures) -> str:
    overheads, shares = pointer_overheads(figures), pointer_shares(figures)
    rows = [["model, batch", "pointers of", "plain, ms", "resident, ms", "overhead", "fetched, ms", "overhead"]]
    for row in figures["pointers"]:
        name, whose = f"{row['model']}, {row['batch_size']}", row["whose"]
        if "failed" in row:
            rows.append([name, whose, row["failed"], *[NOTHING] * 4])
            continue
        cells = [name, whose, f"{median(row['plain']):.2f}"]
        for how in POINTER_WAYS:
            key = (row["model"], row["batch_size"], how)
            over = f"{overheads[(*key, whose)]:.2f}"
            ours = whose != "syft 0.2.4" and key in shares
            cells += [f"{median(row[how]):.2f}", f"{over} ({shares[key]:.2f} of syft's)" if ours else over]
        rows.append(cells)
    return (
        "## What pointers cost\n\n"
        "The time of a training step (forward, backward and SGD) of the MNIST CNN and of `Linear(2, 1)`: on plain "
        "tensors, on pointers with the model at its worker (resident), and with `model.send` before and "
        "`model.get` after each step (fetched). Real syft 0.2.4 runs on torch 1.4, fl_simu.pointers on today's "
        "torch. Each is compared with plain torch of its own stack, in processes that take turns; the overhead is "
        "the median of the turns' differences. "
        '`make benchmark ARGS="--jobs pointers"`\n\n' + markdown_table(rows)
    )


# In the order of the page.
_PARTS = {
    "where_time_goes": _where_time_goes,
    "overhead": _overhead,
    "default_run": _default_run,
    "uploads": _uploads,
    "long_run": _long_run,
    "startup": _startup,
    "many_ues": _many_ues,
    "pointers": _pointers,
}
