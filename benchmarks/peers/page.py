"""docs/benchmarks.md from the figures, and nothing else: no figure is made here but medians, ratios and shares."""

from operator import sub
from pathlib import Path
from statistics import median
from string import Template
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from fl_simu.results.tables import markdown_table

Figures = Mapping[str, Any]
NOTHING = "-"
TEMPLATE = Template((Path(__file__).resolve().parent / "template.md").read_text(encoding="utf-8"))


class Goal(NamedTuple):
    """A figure that was aimed at.

    Args:
        what: in a line.
        measured: the figure; None where it was not measured.
        goal: what was aimed at.
        at_least: whether more is better.
        form: how the figures are written.
        beside: the same figure in another reading, for the reader.
    """

    what: str
    measured: Optional[float]
    goal: float
    at_least: bool = True
    form: str = "{:.2f}"
    beside: str = ""

    @property
    def reached(self) -> str:
        """Whether the figure is where it was to be."""
        if self.measured is None:
            return "not measured"
        right = self.measured >= self.goal if self.at_least else self.measured <= self.goal
        return "reached" if right else "not reached"

    def cells(self) -> List[str]:
        """The row of the table."""
        sign = "≥" if self.at_least else "≤"
        shown = NOTHING if self.measured is None else self.form.format(self.measured)
        return [self.what, shown, self.beside or NOTHING, f"{sign} {self.form.format(self.goal)}", self.reached]


def seconds(row: Optional[Figures]) -> Optional[float]:
    """Median of a row's rounds but the first; None where there is no row or nothing came of it."""
    return median(row["seconds"][1:]) if row and "seconds" in row else None


def best(job: Figures, key: str) -> Optional[Figures]:
    """The fastest of the rows of a job with this key, or whose key begins with it and a slash."""
    rows = [row for row in job.get("rows", ()) if row["key"] == key and "seconds" in row]
    return min(rows, key=lambda row: seconds(row) or 0.0, default=None)


def fastest(job: Figures, keys: Sequence[str]) -> Optional[Figures]:
    """The fastest row of a job under any of these keys."""
    rows = [row for row in (best(job, key) for key in keys) if row]
    return min(rows, key=lambda row: seconds(row) or 0.0, default=None)


def ratio(job: Figures, keys: Sequence[str], mine: str = "fl_simu") -> Optional[float]:
    """Seconds a round of the fastest of other rows, over those of the fastest of ours."""
    theirs, ours = seconds(fastest(job, keys)), seconds(best(job, mine))
    return theirs / ours if theirs and ours else None


def percent_of_peak(job: Figures, row: Figures, machine: Figures) -> float:
    """A row's share of what its cores multiply at most, in percent."""
    return 100 * job["gflop"] / (seconds(row) or 1.0) / (machine["sgemm_gflops"] * row["cores"])


def overhead_shares(figures: Figures) -> List[Tuple[str, float]]:
    """What coordinator, protocol, codec and records take of a round of `notes` on each backend, in percent."""
    job, alone = _jobs(figures).get("notes", {}), figures.get("overhead")
    if not alone:
        return []
    rows = [row for row in job.get("rows", ()) if row["key"] == "fl_simu" and "seconds" in row]
    beside = median(alone["seconds"][1:])
    shares = [(row["label"], 100 * beside / (beside + (seconds(row) or 0.0))) for row in rows]
    return sorted(shares, key=lambda share: share[1])


def goals(figures: Figures) -> List[Goal]:
    """Every figure that has a goal."""
    jobs, rows = _jobs(figures), []
    bare, peak, several = ("bare/1",), [], ("pfl/1", "pfl/n")
    for name, keys, what, goal in (
        ("notes", bare, "bare loop, 1 thread / fl_simu", 1.9),
        ("pfl", bare, "bare loop, 1 thread / fl_simu", 1.9),
        ("many", bare, "bare loop, 1 thread / fl_simu", 20.0),
        ("notes", ("flower",), "Flower / fl_simu", 2.1),
        ("many", ("flower",), "Flower / fl_simu", 20.0),
        ("notes", ("fedlab",), "FedLab / fl_simu", 1.9),
        ("pfl", several, "pfl-research at its best number of threads / fl_simu", 1.2),
        ("many", several, "pfl-research at its best number of threads / fl_simu", 20.0),
    ):
        job = jobs.get(name, {})
        whole = ratio(job, keys, "fl_simu/whole")
        beside = f"{whole:.2f} against the whole run" if whole else ""
        rows.append(Goal(f"`{name}`: {what}", ratio(job, keys), goal, beside=beside))
    mine = best(jobs.get("pfl", {}), "fl_simu")
    if mine:
        peak = [percent_of_peak(jobs["pfl"], mine, figures["machine"])]
    rows.append(
        Goal(
            "`pfl`: fl_simu, percent of the sgemm peak of its cores",
            peak[0] if peak else None,
            80.0,
            form="{:.0f}",
        )
    )
    shares = overhead_shares(figures)
    of_fastest = f"{shares[-1][1]:.1f} of that of the fastest backend" if shares else ""
    of_torch = next((share for label, share in shares if label == "fl_simu, backend torch"), None)
    what = "`notes`: coordinator, protocol, codec and records, percent of a round of backend torch"
    rows.append(Goal(what, of_torch, 3.0, False, "{:.1f}", of_fastest))
    for backend, goal in (("torch", 3.0), ("syft", 6.0), ("ray", 10.0)):
        starts = [row for row in figures.get("startup", ()) if row["backend"] == backend and "failed" not in row]
        slowest = max((median(row["seconds"]) for row in starts), default=None)
        rows.append(Goal(f"start-up of backend {backend}, s, on its slower stack", slowest, goal, False, "{:.1f}"))
    for how, told in _POINTER_WAYS.items():
        shares = [share for (_, _, way), share in pointer_shares(figures).items() if way == how]
        what = f"overhead of a step on pointers, {told}: ours / real syft's, the worst of four models and batches"
        rows.append(Goal(what, max(shares, default=None), 0.25, False))
    return rows


_POINTER_WAYS = {"resident": "the model stays at its worker", "fetched": "it is sent and fetched each step"}


def pointer_overheads(figures: Figures) -> Dict[Tuple[str, int, str, str], float]:
    """(model, batch size, way, whose pointers) -> milliseconds that a step takes longer than on plain tensors.

    The median over the turns, in each of which all ways were tried one after the other.
    """
    rows = [row for row in figures.get("pointers", ()) if "failed" not in row]
    return {
        (row["model"], row["batch_size"], how, row["whose"]): median(map(sub, row[how], row["plain"]))
        for row in rows
        for how in _POINTER_WAYS
    }


def pointer_shares(figures: Figures) -> Dict[Tuple[str, int, str], float]:
    """(model, batch size, way) -> what our pointers cost, over what real syft's cost."""
    found = pointer_overheads(figures)
    return {
        (model, batch_size, how): ours / found[model, batch_size, how, "syft 0.2.4"]
        for (model, batch_size, how, whose), ours in found.items()
        if whose != "syft 0.2.4" and (model, batch_size, how, "syft 0.2.4") in found
    }


def render(figures: Figures) -> str:
    """The page."""
    quick, whole = figures["quick"], figures["command"] == "make benchmark"
    text = TEMPLATE.substitute(
        command=figures["command"],
        date=figures["date"],
        size="It was a quick run: its sizes are too small to compare anything. " if quick else "",
        minutes="{:.0f} minutes on this machine".format(figures["minutes"]) if whole else "some ten minutes",
        machine=_machine(figures),
        goals=_goals(figures),
        jobs="\n".join(_job(job, figures) for job in figures["jobs"]),
        beside=_beside(figures),
        settings=_settings(figures),
    )
    return text.replace(" \n", "\n")


def _jobs(figures: Figures) -> Dict[str, Figures]:
    return {job["name"]: job for job in figures["jobs"]}


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
    ]
    return markdown_table(rows)


def _goals(figures: Figures) -> str:
    rows = [["what", "measured", "beside it", "goal", ""], *(goal.cells() for goal in goals(figures))]
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
    return head + about + markdown_table(rows) + "".join(["\n", *failed] if failed else [])


def _settings(figures: Figures) -> str:
    """How each row was run, as the first job that has it says."""
    rows = [row for job in figures["jobs"] for row in job.get("rows", ()) if "settings" in row]
    told = {row["label"]: row["settings"] for row in reversed(rows)}
    return "".join(f"- {label}: {told[label]}\n" for label in dict.fromkeys(row["label"] for row in rows))


_HEADINGS = [
    *("", "s a round", "least to most", "over fl_simu's best", "cores", "GFLOP/s", "% of their peak"),
    *("loss after", "weights apart"),
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


def _where_time_goes(rows: Sequence[Figures]) -> str:
    cells = [["job", "operators of torch, percent of the rounds", "the rest"]]
    for row in rows:
        shares = {name: 100 * taken / row["rounds_s"] for name, taken in row["operators_s"].items()}
        # The other names are ranges around operators, which torch's own Python marks.
        operators = {name: share for name, share in shares.items() if name.startswith("aten::")}
        largest = sorted(operators.items(), key=lambda one: -one[1])[:9]
        told = ", ".join(f"`{name[len('aten::') :]}` {share:.0f}" for name, share in largest)
        cells.append([row["name"], told, f"{100 - sum(share for _, share in largest):.0f}"])
    return (
        "## Where the time goes\n\n"
        "Two rounds of each job on backend torch, one thread, under torch's profiler, the first one included. The "
        "rest is smaller operators, Python, and the profiler's own work. "
        '`make benchmark ARGS="--jobs where_time_goes"`\n\n' + markdown_table(cells)
    )


def _beside(figures: Figures) -> str:
    parts = []
    if figures.get("where_time_goes"):
        parts.append(_where_time_goes(figures["where_time_goes"]))
    alone = figures.get("overhead")
    if alone:
        record, checkpoint = (median(alone[key][1:]) for key in ("seconds", "checkpoint_seconds"))
        rows = [["round of `notes` on", "share of it, %"]]
        rows += [[label, f"{share:.1f}"] for label, share in overhead_shares(figures)]
        parts.append(
            "## What the simulation costs beside training\n\n"
            f"A round of `notes` in which nobody trains, with a 4-bit affine codec: {1e3 * record:.0f} ms for "
            "coordinator, protocol, encoding, decoding, mean and record; with the checkpoint that a run writes "
            f"after each round {1e3 * checkpoint:.0f} ms. The share is that of the former in a round with "
            'training. `make benchmark ARGS="--jobs notes overhead"`\n\n' + markdown_table(rows)
        )
    if figures.get("startup"):
        rows = [["stack", "backend", "s, median", "least to most"]]
        for row in figures["startup"]:
            taken = () if "failed" in row else row["seconds"]
            told = (
                [f"{median(taken):.1f}", f"{min(taken):.1f} to {max(taken):.1f}"]
                if taken
                else ["not run", row["failed"]]
            )
            rows.append([row["stack"], row["backend"], *told])
        parts.append(
            "## Start-up\n\n"
            "From the command until the first model is fetched that has been trained on a batch: imports, config, "
            "reading MNIST, the backend's own start. 16 clients, `mnist_cnn`, batch 64. "
            '`make benchmark ARGS="--jobs startup"`\n\n' + markdown_table(rows)
        )
    many = figures.get("many_ues")
    if many:
        parts.append(
            "## Many clients known\n\n"
            f"{many['ues']:,} clients known, {many['drawn']} drawn a round, {many['samples']} images each, "
            f"`mnist_cnn`, 4-bit uploads, backend torch, a whole run with evaluation and checkpoints of "
            f"{many['rounds']} rounds: {many['wall_s']:.1f} s in all, peak memory {many['peak_mb']:.0f} MB; the "
            f"images are {many['data_mb']:.0f} MB. "
            '`make benchmark ARGS="--jobs many_ues"`\n'
        )
    if figures.get("pointers"):
        parts.append(_pointers(figures))
    failed = figures.get("failed", {})
    if failed:
        parts.append("## Not run\n\n" + "".join(f"- {name}: {why}\n" for name, why in failed.items()))
    return "\n".join(parts)


def _pointers(figures: Figures) -> str:
    overheads, shares = pointer_overheads(figures), pointer_shares(figures)
    rows = [["model, batch", "pointers of", "plain, ms", "resident, ms", "overhead", "fetched, ms", "overhead"]]
    for row in figures["pointers"]:
        name, whose = f"{row['model']}, {row['batch_size']}", row["whose"]
        if "failed" in row:
            rows.append([name, whose, row["failed"], *[NOTHING] * 4])
            continue
        cells = [name, whose, f"{median(row['plain']):.2f}"]
        for how in _POINTER_WAYS:
            key = (row["model"], row["batch_size"], how)
            over = f"{overheads[(*key, whose)]:.2f}"
            ours = whose != "syft 0.2.4" and key in shares
            cells += [f"{median(row[how]):.2f}", f"{over} ({shares[key]:.2f} of syft's)" if ours else over]
        rows.append(cells)
    return (
        "## What pointers cost\n\n"
        "Milliseconds of a training step of the MNIST CNN and of `Linear(2, 1)`, forward, backward and SGD, on "
        "plain tensors, on pointers with the model at its worker (resident), and with `model.send` before and "
        "`model.get` after each step (fetched). Real syft 0.2.4 runs on torch 1.4, fl_simu.pointers on today's; "
        "each is compared with plain torch of its own stack, in processes that take turns; the overhead is the "
        "median of the turns' differences. "
        '`make benchmark ARGS="--jobs pointers"`\n\n' + markdown_table(rows)
    )
