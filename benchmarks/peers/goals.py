"""The goals: each is computed from the figures with nothing but medians, ratios and shares."""

from operator import sub
from statistics import median
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

Figures = Mapping[str, Any]
NOTHING = "-"


class Goal(NamedTuple):
    """A figure with a goal.

    Args:
        what: description in one line.
        measured: the figure; None if it was not measured.
        goal: its goal.
        at_least: whether more is better.
        form: format of the figures.
        beside: the same figure in another comparison, for the reader.
    """

    what: str
    measured: Optional[float]
    goal: float
    at_least: bool = True
    form: str = "{:.2f}"
    beside: str = ""

    @property
    def reached(self) -> str:
        """Whether the figure reaches its goal."""
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
    """Median of a row's rounds without the first; None if there is no row or it failed."""
    return median(row["seconds"][1:]) if row and "seconds" in row else None


def best(job: Figures, key: str) -> Optional[Figures]:
    """The fastest of a job's rows with this key."""
    rows = [row for row in job.get("rows", ()) if row["key"] == key and "seconds" in row]
    return min(rows, key=lambda row: seconds(row) or 0.0, default=None)


def fastest(job: Figures, keys: Sequence[str]) -> Optional[Figures]:
    """The fastest row of a job under any of these keys."""
    rows = [row for row in (best(job, key) for key in keys) if row]
    return min(rows, key=lambda row: seconds(row) or 0.0, default=None)


def ratio(job: Figures, keys: Sequence[str], mine: str = "fl_simu") -> Optional[float]:
    """Seconds per round of the fastest of other rows, divided by those of the fastest of ours."""
    theirs, ours = seconds(fastest(job, keys)), seconds(best(job, mine))
    return theirs / ours if theirs and ours else None


def percent_of_peak(job: Figures, row: Figures, machine: Figures) -> float:
    """A row's percentage of the peak rate of its cores."""
    return 100 * job["gflop"] / (seconds(row) or 1.0) / (machine["sgemm_gflops"] * row["cores"])


def overhead_shares(figures: Figures) -> List[Tuple[str, float]]:
    """Percentage of a round of `notes` that coordinator, protocol, codec and records take, for each backend."""
    job, alone = by_name(figures).get("notes", {}), figures.get("overhead")
    if not alone:
        return []
    rows = [row for row in job.get("rows", ()) if row["key"] == "fl_simu" and "seconds" in row]
    beside = median(alone["seconds"][1:])
    shares = [(row["label"], 100 * beside / (beside + (seconds(row) or 0.0))) for row in rows]
    return sorted(shares, key=lambda share: share[1])


def goals(figures: Figures) -> List[Goal]:
    """All figures with a goal."""
    jobs, rows = by_name(figures), []
    bare, peak, all_of_pfl = ("bare/1",), [], ("pfl/1", "pfl/n", "pfl/processes")
    for name, keys, what, goal in (
        ("notes", bare, "bare loop, 1 thread / fl_simu", 1.9),
        ("pfl", bare, "bare loop, 1 thread / fl_simu", 1.9),
        ("many", bare, "bare loop, 1 thread / fl_simu", 12.0),
        ("notes", ("pfl/processes",), "pfl-research in processes / fl_simu", 1.0),
        ("pfl", all_of_pfl, "pfl-research at its best / fl_simu", 1.0),
        ("many", all_of_pfl, "pfl-research at its best / fl_simu", 12.0),
        ("notes", ("flower",), "Flower / fl_simu", 1.15),
        ("pfl", ("flower",), "Flower / fl_simu", 1.5),
        ("notes", ("fedlab",), "FedLab / fl_simu", 1.9),
    ):
        job = jobs.get(name, {})
        whole = ratio(job, keys, "fl_simu/whole")
        beside = f"{whole:.2f} against the whole run" if whole else ""
        rows.append(Goal(f"`{name}`: {what}", ratio(job, keys), goal, beside=beside))
    many = jobs.get("many", {})
    for keys, what, goal in ((bare, "bare loop, 1 thread", 8.0), (("flower",), "Flower", 60.0)):
        rows.append(Goal(f"`many`: {what} / fl_simu's whole run", ratio(many, keys, "fl_simu/whole"), goal))
    trained, whole = seconds(best(many, "fl_simu")), seconds(best(many, "fl_simu/whole"))
    longer = whole / trained if whole and trained else None
    rows.append(Goal("`many`: whole run / training and mean alone", longer, 2.0, False))
    rows += _goals_of_runs(figures)
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
    for name, backend, goal in _STARTS:
        found = [row for row in figures.get("startup", ()) if (row["stack"], row["backend"]) == (name, backend)]
        start = next((median(row["seconds"]) for row in found if "failed" not in row), None)
        rows.append(Goal(f"start-up of backend {backend}, s, {name} stack", start, goal, False, "{:.1f}"))
    for how, told in POINTER_WAYS.items():
        shares = [share for (_, _, way), share in pointer_shares(figures).items() if way == how]
        what = f"overhead of a step on pointers, {told}: ours / real syft's, the worst of four models and batches"
        rows.append(Goal(what, max(shares, default=None), 0.25, False))
    return rows


_STARTS = (
    ("modern", "torch", 3.0), ("modern", "processes", 2.5), ("modern", "ray", 10.0),
    ("legacy", "syft", 6.0), ("legacy", "processes of syft", 5.0),
)  # fmt: skip


def _goals_of_runs(figures: Figures) -> List[Goal]:
    """The goals for complete runs."""
    default = {row["stack"]: row for row in figures.get("default_run", ())}
    rows = []
    for name, goal in (("modern", 1.85), ("legacy", 1.8)):
        row = default.get(name)
        taken = row and row["one"]["seconds"] / row["all"]["seconds"]
        rows.append(Goal(f"default run, {name} stack: on one core / on all", taken, goal))
    rates = figures.get("uploads", {}).get("uploads_a_second", {})
    for channel in ("normal", "fading"):
        rate = median(rates[channel]) if rates else None
        what = f"uploads a second of the coordinator alone, orthogonal, {channel}, 100 clients"
        rows.append(Goal(what, rate, 60_000, form="{:,.0f}"))
    grown = growth(figures["long_run"]) if figures.get("long_run") else None
    rows.append(Goal("memory of driver and workers, MB more a hundred rounds, at most", grown, 1.0, False))
    return rows


def growth(run: Figures) -> float:
    """The largest growth of driver or workers between two consecutive samples, in MB."""
    return max(later - earlier for told in memories(run) for earlier, later in zip(told, told[1:]))


def memories(run: Figures) -> Tuple[Sequence[float], Sequence[float]]:
    return run["driver_mb"], run["workers_mb"]


POINTER_WAYS = {"resident": "the model stays at its worker", "fetched": "it is sent and fetched each step"}


def pointer_overheads(figures: Figures) -> Dict[Tuple[str, int, str, str], float]:
    """(model, batch size, way, whose pointers) -> extra milliseconds of a step compared with plain tensors.

    Each is the median over the turns; in each turn, all ways were measured one after the other.
    """
    rows = [row for row in figures.get("pointers", ()) if "failed" not in row]
    return {
        (row["model"], row["batch_size"], how, row["whose"]): median(map(sub, row[how], row["plain"]))
        for row in rows
        for how in POINTER_WAYS
    }


def pointer_shares(figures: Figures) -> Dict[Tuple[str, int, str], float]:
    """(model, batch size, way) -> the overhead of our pointers, divided by that of real syft."""
    found = pointer_overheads(figures)
    return {
        (model, batch_size, how): ours / found[model, batch_size, how, "syft 0.2.4"]
        for (model, batch_size, how, whose), ours in found.items()
        if whose != "syft 0.2.4" and (model, batch_size, how, "syft 0.2.4") in found
    }


def by_name(figures: Figures) -> Dict[str, Figures]:
    """The jobs by name."""
    return {job["name"]: job for job in figures["jobs"]}
