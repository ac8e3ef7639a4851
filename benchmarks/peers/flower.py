"""Flower's simulation: a ServerApp with FedAvg, a ClientApp, `run_simulation` with one Ray actor per core.

Reference: Beutel et al. 2020, "Flower: A Friendly Federated Learning Research Framework".
"""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Tuple

import torch

from benchmarks.peers.jobs import Arrays, Job, Outcome, read
from benchmarks.timing import Stopwatch

FILE = "FL_SIMU_BENCHMARK_JOB"


@lru_cache(maxsize=1)
def _here(path: str) -> Tuple[Job, Arrays, torch.nn.Module]:
    """The job, its arrays and a module, loaded once per process, as Flower's templates cache their data."""
    torch.set_num_threads(1)
    job, arrays = read(Path(path))
    return job, arrays, job.module()


def train(message: Any, context: Any) -> Any:
    """A client's work in a round."""
    from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict

    job, arrays, module = _here(os.environ[FILE])
    ue, round = int(context.node_config["partition-id"]), int(message.content["config"]["server-round"]) - 1
    module.load_state_dict(message.content["arrays"].to_torch_state_dict())
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=job.lr)
    for images, labels in arrays.batches(ue, round, job.batch_size):
        optimizer.zero_grad()
        job.loss(module(images), labels).backward()
        optimizer.step()
    records = {"arrays": ArrayRecord(module.state_dict()), "metrics": MetricRecord({"num-examples": job.samples})}
    return Message(content=RecordDict(records), reply_to=message)


def run(job: Job, arrays: Arrays, rounds: int, file: str, cores: int) -> Outcome:
    """All rounds in one simulation.

    Args:
        file: the job's file, which each client's process reads itself.
        cores: number of clients at a time, with one core each.
    """
    os.environ.update({FILE: file, "FLWR_TELEMETRY_ENABLED": "0", "RAY_USAGE_STATS_ENABLED": "0"})
    import flwr
    import ray
    from flwr.app import ArrayRecord
    from flwr.clientapp import ClientApp
    from flwr.serverapp import ServerApp
    from flwr.serverapp.strategy import FedAvg
    from flwr.simulation import run_simulation

    watch = Stopwatch()

    class Timed(FedAvg):
        def configure_train(self, *arguments: Any, **named: Any) -> Any:
            watch.start()
            return super().configure_train(*arguments, **named)

        def aggregate_train(self, *arguments: Any, **named: Any) -> Any:
            aggregated = super().aggregate_train(*arguments, **named)
            watch.lap()
            return aggregated

    client, server, ended = ClientApp(), ServerApp(), {}
    client.train()(train)

    @server.main()
    def main(grid: Any, context: Any) -> None:
        strategy = Timed(
            fraction_train=job.drawn / job.ues,
            fraction_evaluate=0.0,
            min_train_nodes=job.drawn,
            min_available_nodes=job.ues,
        )
        result = strategy.start(grid=grid, initial_arrays=ArrayRecord(arrays.initial), num_rounds=rounds)
        ended.update(result.arrays.to_torch_state_dict())

    resources = {"num_cpus": 1, "num_gpus": 0.0}
    run_simulation(
        server, client, job.ues, backend_config={"client_resources": resources, "init_args": {"num_cpus": cores}}
    )
    settings = f"run_simulation, FedAvg, no evaluation, {cores} clients at a time with num_cpus = 1"
    return Outcome(watch.seconds, ended, cores, settings, {"flwr": flwr.__version__, "ray": ray.__version__})
