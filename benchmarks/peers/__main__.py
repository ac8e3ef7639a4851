"""`python -m benchmarks.peers`: every job on every framework, then docs/benchmarks.json and docs/benchmarks.md."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import torch

from benchmarks.children import Turns, environment, figures_of
from benchmarks.peers import data, machine, page
from benchmarks.peers.jobs import JOBS, QUICK, Arrays, Job, write
from fl_simu.backends import BACKENDS
from fl_simu.config import tomllib
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.installation import stack
from fl_simu.kernel.parameters import Params, from_arrays, largest_difference
from fl_simu.results.files import write_text
from fl_simu.ue.datasets import DATASETS

ROOT = Path(__file__).resolve().parents[2]
EXTRAS = ("where_time_goes", "overhead", "startup", "many_ues", "pointers")
STARTS = 3
# Model and batch size -> steps of a turn: about half a second of real syft's.
POINTER_STEPS = {("cnn", 64): 4, ("cnn", 4): 20, ("cnn", 1): 30, ("linear", 4): 100}
TURNS = 12
Figures = Dict[str, Any]


def main(arguments: Optional[Sequence[str]] = None) -> None:
    given = _parse(arguments)
    if given.render:
        figures = json.loads(given.render.read_text(encoding="utf-8"))
    else:
        with TemporaryDirectory() as folder:
            figures = Run(given, Path(folder)).figures()
    out = given.out or ROOT / (".benchmarks/peers" if given.quick or given.jobs or given.frameworks else "docs")
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
    parser.add_argument("--legacy-python", type=Path, default=legacy, help="of the legacy stack, for start-up")
    parser.add_argument("--out", type=Path, help="folder of the page and the figures (docs for a whole run)")
    parser.add_argument("--render", type=Path, metavar="JSON", help="only make the page anew from these figures")
    return parser.parse_args(arguments)


def command(given: argparse.Namespace) -> str:
    """The command that makes the same figures; where the environments are is a matter of the machine."""
    words = ["--quick"] if given.quick else []
    for name in ("jobs", "frameworks"):
        words += [f"--{name}", *getattr(given, name)] if getattr(given, name) else []
    words += ["--rounds", str(given.rounds)] if given.rounds else []
    words += [word for table in given.backend or () for word in ("--backend", f"'{table}'")]
    return "make benchmark" + (f' ARGS="{" ".join(words)}"' if words else "")


def backend_table(text: str) -> Dict[str, Any]:
    """A backend as the config has it.

    >>> backend_table("torch"), backend_table('{name = "torch", exact = true}')
    ({'name': 'torch'}, {'name': 'torch', 'exact': True})
    """
    return tomllib.loads(f"table = {text}")["table"] if text.startswith("{") else {"name": text}


class Run:
    """One run of everything that was asked for, one child after the other."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.folder = given, folder
        self.cores = machine.cores()
        self.versions: Dict[str, str] = {}
        self.backends = [backend_table(text) for text in given.backend or BACKENDS]

    def figures(self) -> Figures:
        """Everything that the page is made of."""
        given, began = self.given, time.perf_counter()
        wanted = given.jobs or [*JOBS, *EXTRAS]
        peaks = [figures_of_module("benchmarks.peers.machine")]
        jobs = [self.job(job) for job in (QUICK if given.quick else JOBS).values() if job.name in wanted]
        found: Figures = {
            "date": time.strftime("%Y-%m-%d"),
            "command": command(given),
            "quick": given.quick,
            "jobs": jobs,
        }
        found.update({name: getattr(self, name)() for name in EXTRAS if name in wanted})
        # Before and after, because what else the machine does only takes away.
        peaks.append(figures_of_module("benchmarks.peers.machine"))
        found["machine"] = {**machine.describe(), **{key: max(one[key] for one in peaks) for key in peaks[0]}}
        return {**found, "versions": self.versions, "minutes": (time.perf_counter() - began) / 60}

    def job(self, job: Job) -> Figures:
        """One job on every framework."""
        say(f"{job.title}:")
        rounds = 1 + (self.given.rounds or job.rounds)
        try:
            dataset = DATASETS[job.data]().load()
        except UserError as error:
            return {"title": job.title, "name": job.name, "failed": str(error)}
        arrays = data.deal(job, dataset, rounds)
        path = self.folder / f"{job.name}.npz"
        write(path, job, arrays)
        rows = self.rows(job, path)
        compared = {row["key"]: row.get("params") for row in rows if not has_dropout(job)}
        reference = compared.get("bare/1")
        for row in rows:
            params = row.pop("params", None)
            if params is not None:
                row["loss"] = loss_of(job, arrays, params)
                row["difference"] = None if reference is None else largest_difference(params, reference)
        return {
            "name": job.name,
            "title": job.title,
            "about": describe(job),
            "data": arrays.source,
            "gflop": machine.gflop_of_round(job),
            "loss_before": loss_of(job, arrays, arrays.initial),
            "rows": rows,
        }

    def rows(self, job: Job, path: Path) -> List[Figures]:
        """A row for every way to run the job; the bare loop first."""
        several = self.cores
        rows = [self.child("bare", path, "bare/1", "bare torch loop, 1 thread", threads=1)]
        if several > 1:
            label = f"bare torch loop, {several} threads"
            rows.append(self.child("bare", path, "bare/n", label, several, threads=several))
        mine = []
        for table in self.backends:
            told = ", ".join(f"{key} = {value}" for key, value in table.items() if key != "name")
            label = f"fl_simu, backend {table['name']}" + (f" ({told})" if told else "")
            # One process does all; a product over a stack of models is long enough for several threads.
            for threads in [1, several] if table["name"] == "vectorized" and several > 1 else [1]:
                label += f", {threads} threads" if threads > 1 else ""
                options = {"backend": table, "threads": threads}
                mine.append((self.child("fl_simu", path, "fl_simu", label, threads, **options), options, label))
        rows += [row for row, _, _ in mine]
        ran = [(median(row["seconds"][1:]), options, label) for row, options, label in mine if "seconds" in row]
        if ran:
            _, options, label = min(ran, key=lambda one: one[0])
            threads, label = options["threads"], f"{label}, whole run"
            rows.append(self.child("fl_simu", path, "fl_simu/whole", label, threads, whole=True, **options))
        rows.append(self.child("flower", path, "flower", "Flower", file=str(path), cores=several))
        rows.append(self.child("fedlab", path, "fedlab", "FedLab"))
        rows.append(self.child("pfl", path, "pfl/1", "pfl-research, 1 thread", threads=1))
        if several > 1:
            label = f"pfl-research, {several} threads"
            rows.append(self.child("pfl", path, "pfl/n", label, several, threads=several))
            processes = min(several, job.drawn)
            label = f"pfl-research, {processes} processes"
            rows.append(self.child("pfl", path, "pfl/processes", label, processes=processes))
        return [row for row in rows if row]

    def child(
        self,
        framework: str,
        path: Path,
        key: str,
        label: str,
        threads_of_torch: int = 1,
        processes: int = 1,
        **options: Any,
    ) -> Figures:
        """The job on one framework in a fresh process; a row, with the reason where nothing came of it."""
        given = self.given
        if given.frameworks and framework not in given.frameworks:
            return {}
        mine = framework in ("bare", "fl_simu")
        python = Path(sys.executable) if mine else given.peers_python
        row: Figures = {"key": key, "label": label}
        if not python.exists():
            return {**row, "failed": f"not installed: {python} is missing"}
        out = self.folder / "params.npz"
        command = [str(python), "-m"]
        if processes > 1:
            command += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
        command += ["benchmarks.peers.child", framework, str(path), "--params", str(out)]
        command += ["--options", json.dumps(options)]
        told = run_to_end(command, given.timeout, threads_of_torch)
        if isinstance(told, str):
            say(f"  {label}: {told}")
            return {**row, "failed": told}
        self.versions.update(told.pop("versions"))
        with np.load(str(out), allow_pickle=False) as file:
            told["params"] = from_arrays(dict(file))
        say(f"  {label}: {median(told['seconds'][1:]):.3f} s a round")
        return {**row, **told}

    def dealt(self, name: str, rounds: int) -> str:
        """The file of a job with so many rounds."""
        job = (QUICK if self.given.quick else JOBS)[name]
        path = self.folder / f"{name}-{rounds}.npz"
        write(path, job, data.deal(job, DATASETS[job.data]().load(), rounds))
        return str(path)

    def where_time_goes(self) -> List[Figures]:
        """Seconds of each operator of torch, of two rounds of each job on backend torch."""
        rows = []
        for name, job in JOBS.items():
            say(f"where the time goes: {name}")
            told = figures_of_module("benchmarks.peers.where_time_goes", self.dealt(name, 2))
            rows.append({"name": name, "title": job.title, **told})
        return rows

    def overhead(self) -> Figures:
        """What a round of the first job costs beside training."""
        path = self.dealt("notes", 8)
        say("the coordinator alone")
        return {
            name: figures_of_module("benchmarks.peers.overhead", path, flag)["seconds"]
            for name, flag in (("seconds", "--records"), ("checkpoint_seconds", "--checkpoints"))
        }

    def startup(self) -> List[Figures]:
        """Seconds from the command to the first trained model, for each backend of each stack that is here."""
        rows = []
        for name, python in ((stack(), Path(sys.executable)), ("legacy", self.given.legacy_python)):
            for table in self.backends if python.exists() else ():
                if name == "legacy" and python == Path(sys.executable):
                    continue
                row: Figures = {"stack": name, "backend": table["name"], "seconds": []}
                for _ in range(1 if self.given.quick else STARTS):
                    began = time.time()
                    command = [str(python), "-m", "benchmarks.peers.startup", json.dumps(table)]
                    told = run_to_end(command, self.given.timeout)
                    if isinstance(told, str):
                        row = {**row, "failed": told}
                        break
                    row["seconds"].append(told["at_s"] - began)
                say(f"start-up, {name} stack, {table['name']}: {row.get('failed') or row['seconds']}")
                rows.append(row)
        return rows

    def pointers(self) -> List[Figures]:
        """Milliseconds of a training step on plain tensors and on pointers of real syft and of ours."""
        stacks = {"syft 0.2.4": self.given.legacy_python, "fl_simu.pointers": Path(sys.executable)}
        hows, rows = ("plain", "resident", "fetched"), []
        for (model, batch_size), steps in POINTER_STEPS.items():
            for name, python in stacks.items():
                row: Figures = {"model": model, "batch_size": batch_size, "whose": name}
                if python.exists():
                    row.update(self._steps_in_turns(python, hows, (model, batch_size, steps)))
                else:
                    row["failed"] = f"not installed: {python} is missing"
                say(f"pointers: {row}")
                rows.append(row)
        return rows

    def _steps_in_turns(self, python: Path, hows: Sequence[str], arguments: Sequence[object]) -> Figures:
        turns = 2 if self.given.quick else 1 + TURNS
        with contextlib.ExitStack() as stack:
            children = [
                stack.enter_context(Turns("pointer_steps.py", how, *arguments, python=python)) for how in hows
            ]
            taken = [[child.take()["ms"] for child in children] for _ in range(turns)]
        # The first turn of each is not like the others.
        return {how: list(one) for how, one in zip(hows, zip(*taken[1:]))}

    def many_ues(self) -> Figures:
        """A run that knows many UEs and draws a few."""
        ues, drawn, samples, rounds = (2_000 if self.given.quick else 100_000), 100, 2, 2
        size = ("--ues", str(ues), "--drawn", str(drawn), "--samples", str(samples), "--rounds", str(rounds))
        say(f"{ues:,} UEs known")
        keep = {"MALLOC_MMAP_THRESHOLD_": None, "MALLOC_TRIM_THRESHOLD_": None}
        told = figures_of("many_ues.py", *size, **keep)
        return {"ues": ues, "drawn": drawn, "samples": samples, "rounds": rounds, **told}


def describe(job: Job) -> str:
    """A job in a sentence."""
    drawn = "all drawn" if job.drawn == job.ues else f"{job.drawn} drawn a round"
    return (
        f"Model `{job.model}`, {job.ues:,} clients with {job.samples} images each, {drawn}, "
        f"batch {job.batch_size}, one local epoch, SGD at {job.lr}."
    )


def has_dropout(job: Job) -> bool:
    """Whether what a framework draws besides the batches decides the weights."""
    return any(isinstance(layer, torch.nn.Dropout) for layer in job.module().modules())


def loss_of(job: Job, arrays: Arrays, params: Params, most: int = 2000) -> float:
    """Mean loss of a model over the first images of the job, without dropout."""
    module = job.module().eval()
    module.load_state_dict(params)
    with torch.no_grad():
        return float(job.loss(module(arrays.images[:most]), arrays.labels[:most]))


def run_to_end(command: Sequence[str], timeout_s: float, threads: int = 1) -> Any:
    """The JSON of a child's last line, or in a line why there is none. What it started ends with it."""
    env = environment(OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
    pipes: Dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, cwd=str(ROOT), env=env, text=True, start_new_session=True, **pipes)
    try:
        said, complained = process.communicate(timeout=timeout_s)
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            return f"did not end within {timeout_s:.0f} s"
        raise
    lines = [line for line in said.splitlines() if line.startswith("{")]
    if process.returncode or not lines:
        last = [line for line in complained.splitlines() if line.strip() and not line.startswith(" ")]
        return last[-1].strip() if last else f"ended with status {process.returncode}"
    return json.loads(lines[-1])


def figures_of_module(module: str, *arguments: str) -> Figures:
    """The JSON of a module of this package that is run in a fresh process.

    Raises:
        RuntimeError: it failed.
    """
    told = run_to_end([sys.executable, "-m", module, *arguments], 600)
    if isinstance(told, str):
        raise RuntimeError(told)
    return told


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
