"""One experiment on several backends, each in a fresh process: a hooked torch must not slow another backend."""

import dataclasses
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

import psutil

from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import UserError, brief, one_line
from fl_simu.kernel.parameters import Params, from_arrays, largest_difference
from fl_simu.loop.plan import plan
from fl_simu.parts import KINDS
from fl_simu.results.backend_plots import backends_figure
from fl_simu.results.checkpoints import read_tensors
from fl_simu.results.columns import Columns
from fl_simu.results.figures import require_matplotlib, write_figures
from fl_simu.results.files import make_folder, write_json, write_text
from fl_simu.results.records import Summary
from fl_simu.results.run_folder import RunFolder
from fl_simu.results.targets import Reached, cells, headings

Say = Callable[[str], None]
Row = Dict[str, Any]

# How often the memory of a run is sampled.
PERIOD_S = 0.05


def compare_backends(
    experiment: Experiment,
    backends: Sequence[Mapping[str, Any]],
    data_dir: Optional[Path],
    out: Optional[Path],
    say: Say,
    address: Optional[str] = None,
) -> List[Row]:
    """Run an experiment on each backend; print and write the results.

    Args:
        experiment: the options of its own backend are used only for a backend that is given by that name alone.
        backends: a table for each backend; differences of the model are taken from the first one.
        data_dir, out: as for a run; the folder holds one run per backend, compare.json and compare.png.
        say: prints a line.
        address: address of a cluster, for the backends that join one.

    Returns:
        The rows of the table; see docs/run-folder.md.

    Raises:
        UserError: a backend is not known or cannot run the experiment, there is an address but no backend joins
            a cluster, or one of the runs failed.
    """
    require_matplotlib()
    tables = [KINDS["backend"].table_of(dict(backend)) for backend in backends]
    if address is not None and not any(_joins(table["name"]) for table in tables):
        names = ", ".join(table["name"] for table in tables)
        raise UserError(f"--address {address} is not allowed: none of {names} joins a cluster")
    checked = [plan(_on(experiment, table, address)).experiment for table in tables]
    labels = [_label(one) for one in checked]
    for label in labels:
        if labels.count(label) > 1:
            raise UserError(f"backend {label} is not allowed: the same one twice")
    folder = make_folder(out or Path("runs") / time.strftime("compare-%Y%m%d-%H%M%S"))
    rows: List[Row] = []
    first: Optional[Params] = None
    for label, one in zip(labels, checked):
        say(f"running on backend {label}")
        run = RunFolder(folder / _file_name(label))
        peak_mb = _run(one, run, data_dir)
        model = from_arrays(read_tensors(run.model))
        first = model if first is None else first
        rows.append(_row(run, label, peak_mb, largest_difference(model, first)))
    write_json(folder / "compare.json", rows)
    write_figures(folder, {"compare.png": backends_figure(rows, experiment.name)})
    say(_table(rows))
    if experiment.evaluation.targets:
        say(_targets_table(rows, experiment.columns()))
    say("\nwritten to {} and compare.png".format(folder / "compare.json"))
    return rows


def _label(experiment: Experiment) -> str:
    """A backend's name and its options that differ from the defaults, without the address."""
    part = experiment.backend
    given = {
        field.name: getattr(part, field.name) for field in dataclasses.fields(part) if field.name != "address"
    }
    usual = {field.name: field.default for field in dataclasses.fields(part)}
    options = [f"{key}={_shown(value)}" for key, value in given.items() if value != usual[key]]
    return " ".join([KINDS["backend"].name_of(part), *options])


def _shown(option: Any) -> str:
    return option if isinstance(option, str) else json.dumps(option, default=str)


def _file_name(label: str) -> str:
    return re.sub(r"[^\w.=+-]+", "-", label).strip("-")


def _joins(backend: str) -> bool:
    rows = KINDS["backend"].rows
    return backend in rows and "address" in {field.name for field in dataclasses.fields(rows[backend])}


def _on(experiment: Experiment, table: Mapping[str, Any], address: Optional[str]) -> Experiment:
    """The experiment on a backend; a name alone keeps the options of the experiment's own backend of that name."""
    own = KINDS["backend"].describe(experiment.backend)
    part = own if table == {"name": own["name"]} else dict(table)
    if address is not None and _joins(table["name"]):
        part["address"] = address
    return experiment.with_(backend=part)


def _run(experiment: Experiment, folder: RunFolder, data_dir: Optional[Path]) -> float:
    """Run an experiment in its own process; return the peak memory of that process and its children in MB."""
    file = folder.path.with_name(folder.path.name + ".toml")
    backend = KINDS["backend"].describe(experiment.backend)
    address = backend.pop("address", "")
    write_text(file, experiment.with_(backend=backend).to_toml())
    command = [sys.executable, "-m", "fl_simu", "run", str(file), "--out", str(folder.path)]
    command += ["--address", address] if address else []
    command += ["--data-dir", str(data_dir)] if data_dir else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        memory = _PeakMemory(process)
        memory.start()
        try:
            out, errors = process.communicate()
        except BaseException:
            # A signal sent to this process alone would leave the other one running.
            process.terminate()
            raise
        memory.join()
    if process.returncode:
        name, said = _label(experiment), ((errors or out).strip().splitlines() or ["no word"])[-1]
        if process.returncode == -signal.SIGKILL:
            raise UserError(f"the run on backend {name} was killed (out of memory?)")
        if not said.startswith("fl_simu: "):
            trace = folder.path.with_name(folder.path.name + ".txt")
            write_text(trace, errors)
            said = f"{brief(one_line(said), 200)}; {trace} tells where"
        raise UserError("the run on backend {} failed: {}".format(name, said.replace("fl_simu: ", "", 1)))
    return memory.peak_mb


class _PeakMemory(threading.Thread):
    """Samples the memory of a process and its descendants until it ends.

    Memory that several of them share is counted once for each.
    """

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        super().__init__(daemon=True)
        self.process = process
        self.peak_mb = 0.0

    def run(self) -> None:
        watched = psutil.Process(self.process.pid)
        while self.process.poll() is None:
            self.peak_mb = max(self.peak_mb, sum(_resident_mb(one) for one in _family(watched)))
            time.sleep(PERIOD_S)


def _family(process: psutil.Process) -> List[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _resident_mb(process: psutil.Process) -> float:
    try:
        return process.memory_info().rss / 1e6
    except psutil.NoSuchProcess:
        return 0.0


def _row(run: RunFolder, label: str, peak_mb: float, difference: float) -> Row:
    summary = Summary.read(run.summary)
    return {
        "backend": summary.backend,
        "label": label,
        "final_accuracy": summary.final_accuracy,
        "rounds_wall_s": [record.wall_time_s for record in run.log.read()],
        "wall_time_s": summary.wall_time_s,
        "peak_memory_mb": peak_mb,
        "model_sha256": summary.model_sha256,
        "largest_difference": difference,
        "targets": summary.facts.get("targets", []),
    }


def _table(rows: Sequence[Row]) -> str:
    width = max(12, *(len(row["label"]) for row in rows))
    lines = [
        "\n{:<{}} {:>9} {:>9} {:>17} {:>8} {:>9}  {:<16}  {}".format(
            *("backend", width, "accuracy", "s/round", "fastest..slowest", "wall s", "peak MB", "model_sha256"),
            "largest weight difference",
        )
    ]
    for row in rows:
        accuracy = row["final_accuracy"]
        walls = row["rounds_wall_s"]
        lines.append(
            "{:<{}} {:>9.2%} {:>9.2f} {:>17} {:>8.1f} {:>9.0f}  {:<16}  {:g}".format(
                *(row["label"], width, accuracy, median(walls), f"{min(walls):.2f}..{max(walls):.2f}"),
                *(row["wall_time_s"], row["peak_memory_mb"], row["model_sha256"][:16]),
                row["largest_difference"],
            )
        )
    return "\n".join(lines)


def _targets_table(rows: Sequence[Row], columns: Columns) -> str:
    """The cost of reaching the targets on each backend."""
    head, table = ["backend"], [[row["label"]] for row in rows]
    for at, target in enumerate(rows[0]["targets"]):
        head += headings(target["accuracy"], columns)
        for row, line in zip(rows, table):
            found = row["targets"][at]["reached"]
            line += cells(found and Reached(**found), columns)
    widths = [max(map(len, column)) for column in zip(head, *table)]
    lines = [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)).rstrip() for line in [head, *table]
    ]
    return "\n" + "\n".join(lines)
