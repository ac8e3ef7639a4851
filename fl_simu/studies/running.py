"""The runs of a study: their folders, and the code that does them in worker processes."""

import hashlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Tuple

from fl_simu.data.datasets import Dataset
from fl_simu.experiment import Experiment
from fl_simu.kernel.errors import UserError
from fl_simu.kernel.installation import versions
from fl_simu.kernel.machine import keep_freed_memory
from fl_simu.loop import runs
from fl_simu.loop.plan import load_data, plan
from fl_simu.results.run_folder import RunFolder
from fl_simu.studies.grid import Study

# Most characters of a run's levels, and of its seed, in the name of its folder.
LONGEST = 100


@dataclass(frozen=True)
class Job:
    """One experiment of a study and its folder."""

    label: str
    experiment: Experiment
    folder: RunFolder


def folders_of(study: Study, parent: Path) -> Dict[Tuple[Tuple[str, ...], int], RunFolder]:
    """A folder for each run; equal experiments share one."""
    found: Dict[str, RunFolder] = {}
    folders = {}
    for (levels, seed), experiment in study.experiments.items():
        text = experiment.to_toml() + versions()["torch"]
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        words = re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(levels)).strip("-")
        # File names have at most 255 characters; the digest distinguishes names that are cut.
        name = f"{words[:LONGEST]}-seed{str(seed)[:LONGEST]}-{digest}"
        folders[levels, seed] = found.setdefault(digest, RunFolder(parent / name))
    return folders


class Runs:
    """Does jobs in a worker process, and keeps the data of the last one for the next."""

    def __init__(self, data_dir: Optional[Path]) -> None:
        self.data_dir = data_dir
        self.data: Dict[str, Dataset] = {}

    def __call__(self, job: Job) -> str:
        try:
            return self._run(job)
        except UserError as error:
            raise UserError(f"{job.label}: {error}") from None

    def _run(self, job: Job) -> str:
        keep_freed_memory()
        began = time.perf_counter()
        told: List[str] = []
        planned = plan(job.experiment)
        key = repr(planned.experiment.data)
        if key not in self.data:
            self.data.clear()
            self.data[key] = load_data(planned, self.data_dir)
        if job.folder.config.exists():
            try:
                ended = runs.go_on(planned, self.data[key], job.folder, say=told.append)
            except UserError as error:
                raise UserError(f"{error}; or remove {job.folder.path}, and it is made anew") from None
        else:
            ended = runs.begin(planned, self.data[key], job.folder)
        took_s = time.perf_counter() - began
        return "; ".join([f"{job.label}: {ended.summary.final_accuracy:.2%}, {took_s:.0f} s", *told])
