"""One experiment on several backends, each in a fresh process: a hooked torch must not slow another backend."""

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any, Callable, Dict, List, Optional, Sequence

from fl_simu import config
from fl_simu.assemble import plan
from fl_simu.config import Experiment
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.parameters import Params, from_arrays, largest_difference
from fl_simu.results.checkpoints import read_tensors
from fl_simu.results.files import make_folder, write_json, write_text
from fl_simu.runs import RunFolder

Say = Callable[[str], None]


def compare_backends(
    experiment: Experiment, backends: Sequence[str], data_dir: Optional[Path], out: Optional[Path], say: Say
) -> List[Dict[str, Any]]:
    """Run an experiment on each backend; print and write what came of it.

    Args:
        experiment: its own backend is not used.
        backends: names; differences are taken from the first.
        data_dir, out: as for a run; the folder holds one run a backend, and compare.json.
        say: prints a line.

    Returns:
        The rows of the table: backend, accuracy, seconds a round (median), wall time, hash, largest absolute
        difference of a weight from the first backend's.

    Raises:
        UserError: a backend is not known or cannot run this, or one of the runs failed.
    """
    wanted = [{"backend": {"name": name.strip()}} for name in backends]
    checked = [plan(experiment.model_copy(update=backend)).experiment for backend in wanted]
    names = [one.backend["name"] for one in checked]
    if len(set(names)) != len(names):
        raise UserError("--backends {} is not allowed: the same one twice".format(",".join(backends)))
    folder = make_folder(out or Path("runs") / time.strftime("compare-%Y%m%d-%H%M%S"))
    rows: List[Dict[str, Any]] = []
    first: Optional[Params] = None
    for one in checked:
        run = _run(one, folder / one.backend["name"], data_dir, say)
        model = from_arrays(read_tensors(run.model))
        first = model if first is None else first
        rows.append(_row(run, largest_difference(model, first)))
    write_json(folder / "compare.json", rows)
    say(_table(rows))
    say("\nwritten to {}".format(folder / "compare.json"))
    return rows


def _run(experiment: Experiment, folder: Path, data_dir: Optional[Path], say: Say) -> RunFolder:
    name = experiment.backend["name"]
    say(f"running on backend {name}")
    file = folder.with_suffix(".toml")
    write_text(file, config.to_toml(experiment))
    command = [sys.executable, "-m", "fl_simu", "run", str(file), "--out", str(folder)]
    command += ["--data-dir", str(data_dir)] if data_dir else []
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["no word"]
        raise UserError(f"the run on backend {name} failed: {said[-1].replace('fl_simu: ', '', 1)}")
    return RunFolder(folder)


def _row(run: RunFolder, difference: float) -> Dict[str, Any]:
    summary = json.loads(run.summary.read_text())
    return {
        "backend": summary["backend"],
        "final_accuracy": summary["final_accuracy"],
        "round_wall_s": median(record.wall_time_s for record in run.log.read()),
        "wall_time_s": summary["wall_time_s"],
        "model_sha256": summary["model_sha256"],
        "largest_difference": difference,
    }


def _table(rows: Sequence[Dict[str, Any]]) -> str:
    lines = [
        "\n{:<12} {:>9} {:>9} {:>8}  {:<16}  {}".format(
            "backend", "accuracy", "s/round", "wall s", "model_sha256", "largest weight difference"
        )
    ]
    for row in rows:
        accuracy = math.nan if row["final_accuracy"] is None else row["final_accuracy"]
        lines.append(
            "{:<12} {:>9.2%} {:>9.2f} {:>8.1f}  {:<16}  {:g}".format(
                row["backend"],
                accuracy,
                row["round_wall_s"],
                row["wall_time_s"],
                row["model_sha256"][:16],
                row["largest_difference"],
            )
        )
    return "\n".join(lines)
