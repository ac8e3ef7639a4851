"""`python -m benchmarks.peers`: every job on every framework, then docs/benchmarks.json and docs/benchmarks.md."""

import argparse
import json
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, Optional, Sequence

from benchmarks.children import ROOT, ChildFailed, answer_of_module, say
from benchmarks.peers import machine, page
from benchmarks.peers.extras import EXTRAS, Extras
from benchmarks.peers.jobs import JOBS, QUICK
from benchmarks.peers.side_by_side import SideBySide
from fl_simu.backends import BACKENDS
from fl_simu.kernel.config import part_table
from fl_simu.kernel.errors import UserError
from fl_simu.results.files import write_text

Figures = Dict[str, Any]


def main(arguments: Optional[Sequence[str]] = None) -> None:
    given = _parse(arguments)
    if given.render:
        figures = json.loads(given.render.read_text(encoding="utf-8"))
    else:
        with TemporaryDirectory() as folder:
            figures = measure(given, Path(folder))
        if given.into:
            figures = added(json.loads(given.into.read_text(encoding="utf-8")), figures)
    part = given.quick or given.jobs or given.frameworks
    there = given.into.parent if given.into else ROOT / (".benchmarks/peers" if part else "docs")
    out = given.out or there
    out.mkdir(parents=True, exist_ok=True)
    if not given.render:
        write_text(out / "benchmarks.json", json.dumps(figures, indent=1) + "\n")
    text = page.render(figures)
    write_text(out / "benchmarks.md", text)
    print(text)
    print(f"written to {out}/benchmarks.md and benchmarks.json")


def _parse(arguments: Optional[Sequence[str]]) -> argparse.Namespace:
    peers = ROOT / ".venv" / "peers" / "bin" / "python"
    legacy = ROOT / ".venv" / "legacy" / "bin" / "python"
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, a minute or two: shows that all runs")
    parser.add_argument("--jobs", nargs="*", choices=[*JOBS, *EXTRAS], help="only these jobs and figures")
    parser.add_argument("--frameworks", nargs="*", choices=["bare", "fl_simu", "flower", "fedlab", "pfl"])
    parser.add_argument("--rounds", type=int, help="timed rounds of each job")
    parser.add_argument(
        "--backend",
        action="append",
        metavar="TABLE",
        help="a backend of fl_simu, as a name or an inline table of TOML; may be repeated (default: all)",
    )
    parser.add_argument("--timeout", type=float, default=300, metavar="S", help="for one job on one framework")
    parser.add_argument("--peers-python", type=Path, default=peers, help="of the environment of the others")
    parser.add_argument(
        "--legacy-python", type=Path, default=legacy, help="of the legacy stack, for start-up and pointers"
    )
    parser.add_argument("--out", type=Path, help="folder of the page and the figures (docs for a complete run)")
    parser.add_argument("--into", type=Path, metavar="JSON", help="replace these figures by the new measurements")
    parser.add_argument("--render", type=Path, metavar="JSON", help="only render the page from these figures")
    given = parser.parse_args(arguments)
    backends = given.backend or sorted(set(BACKENDS) - {"auto"})
    given.backends = [part_table(text, "--backend") for text in backends]
    return given


def measure(given: argparse.Namespace, folder: Path) -> Figures:
    """Measure everything for the page."""
    began, wanted = time.perf_counter(), given.jobs or [*JOBS, *EXTRAS]
    side_by_side, extras = SideBySide(given, folder), Extras(given, folder)
    peaks = [answer_of_module("benchmarks.peers.machine")]
    jobs = [side_by_side.job(job) for job in (QUICK if given.quick else JOBS).values() if job.name in wanted]
    found, failed = {}, {}
    for name in EXTRAS:
        if name in wanted:
            try:
                found[name] = getattr(extras, name)()
            except ChildFailed as error:
                say(f"{name}: {error}")
                failed[name] = str(error)
    # Before and after, because other load on the machine can only lower these figures.
    peaks.append(answer_of_module("benchmarks.peers.machine"))
    return {
        "date": time.strftime("%Y-%m-%d"),
        "command": command(given),
        "quick": given.quick,
        "jobs": jobs,
        **found,
        "failed": failed,
        "machine": {**machine.describe(), **{key: max(one[key] for one in peaks) for key in peaks[0]}},
        "versions": side_by_side.versions,
        "minutes": (time.perf_counter() - began) / 60,
    }


def added(figures: Figures, more: Figures) -> Figures:
    """Replace some figures by newly measured ones, and note which."""
    jobs = {job["name"]: job for job in (*figures["jobs"], *more["jobs"])}
    found = {name: more[name] for name in EXTRAS if name in more}
    failed = {name: why for name, why in figures["failed"].items() if name not in found}
    note = {"date": more["date"], "command": more["command"]}
    return {
        **figures,
        **found,
        "jobs": [jobs[name] for name in JOBS if name in jobs],
        "failed": {**failed, **more["failed"]},
        "machine": more["machine"],
        "versions": {**figures["versions"], **more["versions"]},
        "added": [*figures.get("added", ()), note],
    }


def command(given: argparse.Namespace) -> str:
    """The command that makes the same figures; the paths of environments are left out."""
    words = ["--quick"] if given.quick else []
    for name in ("jobs", "frameworks"):
        words += [f"--{name}", *getattr(given, name)] if getattr(given, name) else []
    words += ["--rounds", str(given.rounds)] if given.rounds else []
    words += ["--into", str(given.into)] if given.into else []
    words += [word for table in given.backend or () for word in ("--backend", f"'{table}'")]
    return "make benchmark" + (f' ARGS="{" ".join(words)}"' if words else "")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"make benchmark: {error}")
