"""Measurements of fl_simu beyond the jobs: one method for each."""

import argparse
import contextlib
import hashlib
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, List, Optional, Sequence, Tuple

from benchmarks.children import (
    ROOT,
    ChildFailed,
    Turns,
    answer_of,
    answer_of_module,
    answer_of_script,
    output_of,
    say,
)
from benchmarks.peers import data
from benchmarks.peers.jobs import JOBS, QUICK, write
from fl_simu.data.datasets import DATASETS
from fl_simu.kernel.installation import stack

EXTRAS = ("default_run", "where_time_goes", "overhead", "uploads", "startup", "long_run", "many_ues", "pointers")
STARTS = 3
QUICK_RUN = ("--rounds", "1", "--set", "ues=2", "--set", "data.test_samples=250")
# Model and batch size -> steps per turn: about half a second with real syft.
POINTER_STEPS = {("cnn", 64): 4, ("cnn", 4): 20, ("cnn", 1): 30, ("linear", 4): 100}
TURNS = 12
DEFAULT = ROOT / "fl_simu" / "cli" / "defaults" / "mnist.toml"
Figures = Dict[str, Any]


@dataclass(frozen=True)
class Extras:
    """One method for each of `EXTRAS`; each raises `ChildFailed` if it has no result.

    Args:
        given: the command-line options.
        folder: folder for the jobs' files.
    """

    given: argparse.Namespace
    folder: Path

    def dealt(self, name: str, rounds: int) -> str:
        """The file of a job with this many rounds."""
        job = (QUICK if self.given.quick else JOBS)[name]
        path = self.folder / f"{name}-{rounds}.npz"
        write(path, job, data.deal(job, DATASETS[job.data]().load(), rounds))
        return str(path)

    def default_run(self) -> List[Figures]:
        """Seconds of the command without arguments, on one core and on all, on each available stack."""
        rows = []
        for name, python in self._stacks():
            row: Figures = {"stack": name}
            for cores, limit in (("one", "1"), ("all", None)):
                say(f"the default run, {name} stack, cores: {cores}")
                row[cores] = self._command_s(python, limit)
            rows.append(row)
        return rows

    def _command_s(self, python: Path, cores: Optional[str]) -> Figures:
        words = ["run", str(DEFAULT), *QUICK_RUN] if self.given.quick else []
        with TemporaryDirectory() as folder:
            out = Path(folder) / "run"
            began = time.perf_counter()
            command = [str(python), "-m", "fl_simu", *words, "--out", str(out)]
            output_of(command, self.given.timeout, FL_SIMU_CORES=cores)
            seconds = time.perf_counter() - began
            model = hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()
        return {"seconds": seconds, "sha256": model}

    def _stacks(self) -> List[Tuple[str, Path]]:
        """The current stack, and the legacy stack if it is another one and available."""
        here, legacy = Path(sys.executable), self.given.legacy_python
        return [(stack(), here), *([("legacy", legacy)] if legacy.exists() and legacy != here else [])]

    def long_run(self) -> Figures:
        """Memory of driver and workers over a long run."""
        say("a long run")
        return answer_of_module("benchmarks.peers.long_run", "9" if self.given.quick else "300")

    def uploads(self) -> Figures:
        """Uploads per second of the coordinator alone."""
        say("uploads a second")
        return answer_of_script("uploads.py", "1" if self.given.quick else "5")

    def where_time_goes(self) -> List[Figures]:
        """Seconds of each operator of torch, in two rounds of each job on backend torch."""
        rows = []
        for name, job in JOBS.items():
            say(f"where the time goes: {name}")
            told = answer_of_module("benchmarks.peers.where_time_goes", self.dealt(name, 2))
            rows.append({"name": name, "title": job.title, **told})
        return rows

    def overhead(self) -> Figures:
        """Seconds of a round of the first job without training."""
        path = self.dealt("notes", 8)
        say("the coordinator alone")
        return {
            name: answer_of_module("benchmarks.peers.overhead", path, flag)["seconds"]
            for name, flag in (("seconds", "--records"), ("checkpoint_seconds", "--checkpoints"))
        }

    def startup(self) -> List[Figures]:
        """Seconds from the command to the first trained model, for each backend on each available stack."""
        rows = []
        for name, python in self._stacks():
            inside = [{"name": "processes", "inner": "syft"}] if name == "legacy" else []
            for table in (*self.given.backends, *inside):
                label = table["name"] + (f" of {table['inner']}" if "inner" in table else "")
                row: Figures = {"stack": name, "backend": label, "seconds": []}
                for _ in range(1 if self.given.quick else STARTS):
                    began = time.time()
                    command = [str(python), "-m", "benchmarks.peers.startup", json.dumps(table)]
                    try:
                        row["seconds"].append(answer_of(command, self.given.timeout)["at_s"] - began)
                    except ChildFailed as error:
                        row["failed"] = str(error)
                        break
                say(f"start-up, {name} stack, {label}: {row.get('failed') or row['seconds']}")
                rows.append(row)
        return rows

    def pointers(self) -> List[Figures]:
        """Milliseconds of a training step on plain tensors, and on pointers of real syft and of fl_simu."""
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
        # The first turn is a warm-up.
        return {how: list(one) for how, one in zip(hows, zip(*taken[1:]))}

    def many_ues(self) -> Figures:
        """A run that knows many UEs and selects a few."""
        ues, drawn, samples, rounds = (2_000 if self.given.quick else 100_000), 100, 2, 2
        size = ("--ues", str(ues), "--drawn", str(drawn), "--samples", str(samples), "--rounds", str(rounds))
        say(f"{ues:,} UEs known")
        keep = {"MALLOC_MMAP_THRESHOLD_": None, "MALLOC_TRIM_THRESHOLD_": None}
        told = answer_of_script("many_ues.py", *size, **keep)
        return {"ues": ues, "drawn": drawn, "samples": samples, "rounds": rounds, **told}
