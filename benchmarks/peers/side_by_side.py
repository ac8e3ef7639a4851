"""Every job on every framework, each in a fresh process: the rows of the page's tables."""

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Dict, List

import numpy as np
import torch

from benchmarks.children import ChildFailed, answer_of, say
from benchmarks.peers import data, machine
from benchmarks.peers.jobs import Arrays, Job, write
from fl_simu.data.datasets import DATASETS
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.parameters import Params, from_arrays, largest_difference

Figures = Dict[str, Any]


@dataclass(frozen=True)
class SideBySide:
    """One child after the other.

    Args:
        given: the command-line options.
        folder: folder for the jobs' files.
        versions: versions of the packages, as reported by the children.
    """

    given: argparse.Namespace
    folder: Path
    versions: Dict[str, str] = field(default_factory=dict)

    def job(self, job: Job) -> Figures:
        """Run one job on every framework."""
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
            **({"gbytes": machine.gbytes_of_round(job)} if job.model == "logistic_regression" else {}),
            "loss_before": loss_of(job, arrays, arrays.initial),
            "rows": rows,
        }

    def rows(self, job: Job, path: Path) -> List[Figures]:
        """Run the job in every way; returns a row for each, the bare loop first."""
        several = machine.cores()
        rows = [self.child("bare", path, "bare/1", "bare torch loop, 1 thread", threads=1)]
        if several > 1:
            label = f"bare torch loop, {several} threads"
            rows.append(self.child("bare", path, "bare/n", label, several, threads=several))
        mine = []
        for table in self.given.backends:
            told = ", ".join(f"{key} = {value}" for key, value in table.items() if key != "name")
            label = f"fl_simu, backend {table['name']}" + (f" ({told})" if told else "")
            # One process does everything; a product over a stack of models is long enough for several threads.
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
        """Run the job on one framework in a fresh process; returns a row, with the reason if it failed."""
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
        try:
            told = answer_of(command, given.timeout, threads_of_torch)
        except ChildFailed as error:
            say(f"  {label}: {error}")
            return {**row, "failed": str(error)}
        self.versions.update(told.pop("versions"))
        with np.load(str(out), allow_pickle=False) as file:
            told["params"] = from_arrays(dict(file))
        say(f"  {label}: {median(told['seconds'][1:]):.3f} s a round")
        return {**row, **told}


def describe(job: Job) -> str:
    """Describe a job in a sentence or two."""
    drawn = "all drawn" if job.drawn == job.ues else f"{job.drawn} drawn a round"
    return (
        f"Model `{job.model}`, {job.ues:,} clients with {job.samples} images each, {drawn}, "
        f"batch {job.batch_size}, one local epoch, SGD at {job.lr}."
    )


def has_dropout(job: Job) -> bool:
    """Whether the weights depend on random draws of a framework other than the batches."""
    return any(isinstance(layer, torch.nn.Dropout) for layer in job.module().modules())


def loss_of(job: Job, arrays: Arrays, params: Params, most: int = 2000) -> float:
    """Mean loss of a model over the first images of the job, without dropout."""
    module = job.module().eval()
    module.load_state_dict(params)
    with torch.no_grad():
        return float(job.loss(module(arrays.images[:most]), arrays.labels[:most]))
