"""fl_simu: either a backend and the average alone, or a complete run without evaluation and checkpoints."""

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Dict, List, Mapping, Sequence

import numpy as np
import torch

from benchmarks.idle import Standstill
from benchmarks.laps import Laps
from benchmarks.peers.data import SEED
from benchmarks.peers.jobs import CLASSES, Arrays, Job, Outcome
from benchmarks.timing import timed
from fl_simu.data.datasets import Dataset, Samples
from fl_simu.data.partition import Partition
from fl_simu.experiment import Experiment
from fl_simu.kernel.machine import prepare
from fl_simu.kernel.messages import Update
from fl_simu.loop.assemble import assemble
from fl_simu.loop.coordinator import Coordinator, Observer
from fl_simu.loop.plan import Plan, plan
from fl_simu.loop.resuming import Keeper
from fl_simu.parts import KINDS
from fl_simu.results.checkpoints import Checkpoints
from fl_simu.results.records import RoundLog, RoundRecord
from fl_simu.station.aggregation.means import Mean
from fl_simu.station.evaluation import Evaluation
from fl_simu.ue.training import Key, Shard, Task


def run(
    job: Job, arrays: Arrays, rounds: int, backend: Mapping[str, Any], whole: bool = False, threads: int = 1
) -> Outcome:
    """Run the job on one backend.

    Args:
        backend: the part's table, `{"name": ...}` and arguments.
        whole: whether to run the coordinator, protocol, link and records too, or only the backend and the mean.
        threads: number of torch threads in this process.
    """
    planned = plan(Experiment.parse(experiment(job, rounds, backend=dict(backend), threads=threads)))
    spec = planned.experiment.backend
    table = KINDS["backend"].describe(spec)
    told = ", ".join(f"{key} = {value!r}" for key, value in table.items() if key != "name")
    if whole:
        seconds, params = _whole(planned, arrays)
        settings = f"{told}; coordinator, wait_for_all, float32 codec, constant channel, mean, rounds.jsonl"
    else:
        seconds, params = _backend_alone(planned, job, arrays)
        settings = f"{told}; send, train, get and the mean"
    # A backend with its own processes specifies their number; 0 means one per core.
    cores = getattr(spec, "workers", getattr(spec, "actors", threads)) or os.cpu_count() or 1
    versions = {"ray of fl_simu": sys.modules["ray"].__version__} if "ray" in sys.modules else {}
    return Outcome(seconds, params, cores, settings, versions)


def experiment(job: Job, rounds: int, **parts: Any) -> Dict[str, Any]:
    """The job as config values."""
    return {
        "name": job.name,
        "seed": SEED,
        "rounds": rounds,
        "ues": job.ues,
        "ues_per_round": job.drawn,
        "training": {"batch_size": job.batch_size},
        "data": job.data,
        "model": job.model,
        "optimizer": {"name": "sgd", "lr": job.lr},
        "channel": "constant",
        **parts,
    }


def _backend_alone(planned: Plan, job: Job, arrays: Arrays) -> Any:
    backend = planned.backend
    prepare(planned.experiment.threads)
    for ue, rows in enumerate(arrays.rows):
        backend.place(ue, Shard(arrays.images, arrays.labels, rows))
    model, rule = [arrays.initial], Mean()

    def one_round(round: int) -> None:
        ues = arrays.ues(round)
        backend.train([Task(Key(SEED, ue, round), model[0], {}) for ue in ues])
        updates = (Update(ue, round, job.samples, backend.get(ue).params) for ue in ues)
        model[0] = rule.combine(model[0], updates, len(ues))

    seconds = timed(len(arrays.drawn), one_round)
    backend.close()
    return seconds, model[0]


def _whole(planned: Plan, arrays: Arrays) -> Any:
    with TemporaryDirectory() as folder:
        log = RoundLog(Path(folder) / "rounds.jsonl")
        coordinator, watch = _coordinator(planned, arrays, [_Records(log)])
        coordinator.run()
    planned.backend.close()
    return watch.seconds, coordinator.model


def overhead(job: Job, arrays: Arrays, rounds: int, checkpoints: bool) -> List[float]:
    """Seconds of rounds in which no UE trains: coordinator, protocol, 4-bit affine codec, mean and record.

    Args:
        checkpoints: whether each round also ends with a checkpoint, as in a run.
    """
    parts = {"payload": "update", "codec": {"name": "affine", "base_bits": 4}, "backend": "torch"}
    planned = plan(Experiment.parse(experiment(job, rounds, **parts)))
    planned = replace(planned, backend=Standstill(planned.training))
    with TemporaryDirectory() as folder:
        log = RoundLog(Path(folder) / "rounds.jsonl")
        keeper = Keeper(log, Checkpoints(Path(folder) / "checkpoint"), "") if checkpoints else _Records(log)
        coordinator, watch = _coordinator(planned, arrays, [keeper])
        coordinator.run()
    return watch.seconds


class _Records(Observer):
    """Writes the record of each round, as a run does."""

    def __init__(self, log: RoundLog) -> None:
        self.log = log

    def aggregated(self, record: RoundRecord, coordinator: Coordinator) -> None:
        self.log.append(record)


@dataclass(frozen=True)
class _Dealt(Partition):
    """The clients' images as they were distributed."""

    rows: torch.Tensor

    def split(self, labels: np.ndarray, ues: int, rng: np.random.Generator) -> List[np.ndarray]:
        return list(self.rows.numpy())


def _coordinator(planned: Plan, arrays: Arrays, observers: Sequence[Observer]) -> Any:
    """A run's coordinator that evaluates nothing, and the stopwatch that times its rounds from now on."""
    planned = replace(planned, experiment=planned.experiment.with_(partition=_Dealt(arrays.rows)))
    train = Samples(arrays.images, arrays.labels)
    test = Samples(arrays.images[:1], arrays.labels[:1])
    watch = Laps()
    dataset = Dataset(planned.experiment.data.name, train, test, CLASSES, arrays.source)
    prepare(planned.experiment.threads)
    coordinator = assemble(planned, dataset, [*observers, watch])
    coordinator.setting = replace(coordinator.setting, evaluate=lambda params: Evaluation(0.0, 0.0))
    watch.start()
    return coordinator, watch
